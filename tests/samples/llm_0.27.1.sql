-- Made by llm 0.27.1 itself: a conversation, a schema, fragments, attachments, a tool, logged offline; without its full-text index.
BEGIN TRANSACTION;
CREATE TABLE [_llm_migrations] (
   [name] TEXT PRIMARY KEY,
   [applied_at] TEXT
);
CREATE TABLE [attachments] (
   [id] TEXT PRIMARY KEY,
   [type] TEXT,
   [path] TEXT,
   [url] TEXT,
   [content] BLOB
);
INSERT INTO "attachments" VALUES('6b7fa434f92a8b80aab02d9bf1a12e49ffcae424e4013a1c4f68b67e3d2bbcd0','image/png',NULL,NULL,X'89504E470D0A1A0A0000000D49484452000000010000000108060000001F15C4890000000D4944415478DA6364F8CF500F00038601805A347D6B0000000049454E44AE426082');
INSERT INTO "attachments" VALUES('6cca28217800f56c05773454248aaf21c600f283b0ea560291d91c2b2f46a4fc','image/png',NULL,'https://example.com/cat.png',NULL);
CREATE TABLE [conversations] (
   [id] TEXT PRIMARY KEY,
   [name] TEXT,
   [model] TEXT
);
INSERT INTO "conversations" VALUES('01m891jfgd4pf0x1z88avt4a5d','Who are you?','parrot');
INSERT INTO "conversations" VALUES('01m891jfhf4axtxkx55vb9e7vx','Name a dog','parrot');
INSERT INTO "conversations" VALUES('01m891jfjp9pgkgnj0h4vmes7y','A long story. A long story. A l…','parrot');
INSERT INTO "conversations" VALUES('01m891jfn2ffzna4y1zc6xfjm3','multiply 6 and 7','parrot');
CREATE TABLE [fragment_aliases] (
   [alias] TEXT PRIMARY KEY,
   [fragment_id] INTEGER REFERENCES [fragments]([id])
);
CREATE TABLE [fragments] (
   [id] INTEGER PRIMARY KEY,
   [hash] TEXT,
   [content] TEXT,
   [datetime_utc] TEXT,
   [source] TEXT
);
INSERT INTO "fragments" VALUES(1,'330129d9f90664a5919d42815d5656fa23f5c72e75a062854c7ce04db39472b3','A long story. A long story. A long story. A long story. A long story. A long story. A long story. A long story. ','2026-11-25 09:46:13','https://example.com/story');
INSERT INTO "fragments" VALUES(2,'213c22ed7234eb11116e1e88f314c73cb3a019b5c87fe224b6ce5665bd9ec50e','Be brief.','2026-11-25 09:46:13','brief.txt');
CREATE TABLE [prompt_attachments] (
   [response_id] TEXT REFERENCES [responses]([id]),
   [attachment_id] TEXT REFERENCES [attachments]([id]),
   [order] INTEGER,
   PRIMARY KEY ([response_id], [attachment_id])
);
INSERT INTO "prompt_attachments" VALUES('01m891jfjp9pgkgnj0h4vmes7x','6b7fa434f92a8b80aab02d9bf1a12e49ffcae424e4013a1c4f68b67e3d2bbcd0',0);
INSERT INTO "prompt_attachments" VALUES('01m891jfjp9pgkgnj0h4vmes7x','6cca28217800f56c05773454248aaf21c600f283b0ea560291d91c2b2f46a4fc',1);
CREATE TABLE "prompt_fragments" (
   [response_id] TEXT REFERENCES [responses]([id]),
   [fragment_id] INTEGER REFERENCES [fragments]([id]),
   [order] INTEGER,
   PRIMARY KEY ([response_id], [fragment_id], [order])
);
INSERT INTO "prompt_fragments" VALUES('01m891jfjp9pgkgnj0h4vmes7x',1,0);
CREATE TABLE "responses" (
   [id] TEXT PRIMARY KEY,
   [model] TEXT,
   [prompt] TEXT,
   [system] TEXT,
   [prompt_json] TEXT,
   [options_json] TEXT,
   [response] TEXT,
   [response_json] TEXT,
   [conversation_id] TEXT REFERENCES [conversations]([id]),
   [duration_ms] INTEGER,
   [datetime_utc] TEXT,
   [input_tokens] INTEGER,
   [output_tokens] INTEGER,
   [token_details] TEXT,
   [schema_id] TEXT REFERENCES [schemas]([id])
, [resolved_model] TEXT);
INSERT INTO "responses" VALUES('01m891jfgd4pf0x1z88avt4a5e','parrot','Who are you?','You are a parrot.',NULL,'{"temperature": 0.5}','Squawk: Who are you?','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": {"$": "r:01m891jfgd4pf0x1z88avt4a5e"}}}]}','01m891jfgd4pf0x1z88avt4a5d',0,'2026-11-25T09:46:13.901259+00:00',11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}',NULL,'parrot-2024-08-06');
INSERT INTO "responses" VALUES('01m891jfgtygnadceta3318gw4','parrot','And where do you live?',NULL,'{"messages": [{"role": "system", "content": "You are a parrot."}, {"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "Squawk: Who are you?"}, {"role": "user", "content": "And where do you live?"}]}','{}','Squawk: And where do you live?','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": {"$": "r:01m891jfgtygnadceta3318gw4"}}}]}','01m891jfgd4pf0x1z88avt4a5d',0,'2026-11-25T09:46:13.914459+00:00',11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}',NULL,'parrot-2024-08-06');
INSERT INTO "responses" VALUES('01m891jfhf4axtxkx55vb9e7vw','parrot','Name a dog',NULL,NULL,'{}','Squawk: Name a dog','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": {"$": "r:01m891jfhf4axtxkx55vb9e7vw"}}}]}','01m891jfhf4axtxkx55vb9e7vx',0,'2026-11-25T09:46:13.935097+00:00',11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}','ef1ffdd087a6c2b550b20db1cad43f4c','parrot-2024-08-06');
INSERT INTO "responses" VALUES('01m891jfjp9pgkgnj0h4vmes7x','parrot','Sum it up',NULL,'{"messages": [{"role": "system", "content": {"$": "f2"}}, {"role": "user", "content": {"$r": [{"$": "f1"}, "\nSum it up"]}}]}','{}','Squawk: A long story. A long story. A long story. A long story. A long story. A long story. A long story. A long story. 
Sum it up','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": {"$": "r:01m891jfjp9pgkgnj0h4vmes7x"}}}]}','01m891jfjp9pgkgnj0h4vmes7y',0,'2026-11-25T09:46:13.974611+00:00',11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}',NULL,'parrot-2024-08-06');
INSERT INTO "responses" VALUES('01m891jfn48pa4v0xknxs0bw06','parrot','multiply 6 and 7',NULL,NULL,'{}','',NULL,'01m891jfn2ffzna4y1zc6xfjm3',0,'2026-11-25T09:46:14.052612+00:00',9,4,NULL,NULL,'parrot-2024-08-06');
INSERT INTO "responses" VALUES('01m891jfp1mprav3jbemz02jhc','parrot','',NULL,NULL,'{}','It is 42.','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Squawk: "}}]}','01m891jfn2ffzna4y1zc6xfjm3',0,'2026-11-25T09:46:14.081824+00:00',11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}',NULL,'parrot-2024-08-06');
CREATE TABLE [schemas] (
   [id] TEXT PRIMARY KEY,
   [content] TEXT
);
INSERT INTO "schemas" VALUES('ef1ffdd087a6c2b550b20db1cad43f4c','{"type":"object","properties":{"name":{"type":"string"}}}');
CREATE TABLE "system_fragments" (
   [response_id] TEXT REFERENCES [responses]([id]),
   [fragment_id] INTEGER REFERENCES [fragments]([id]),
   [order] INTEGER,
   PRIMARY KEY ([response_id], [fragment_id], [order])
);
INSERT INTO "system_fragments" VALUES('01m891jfjp9pgkgnj0h4vmes7x',2,0);
CREATE TABLE [tool_calls] (
   [id] INTEGER PRIMARY KEY,
   [response_id] TEXT REFERENCES [responses]([id]),
   [tool_id] INTEGER REFERENCES [tools]([id]),
   [name] TEXT,
   [arguments] TEXT,
   [tool_call_id] TEXT
);
INSERT INTO "tool_calls" VALUES(1,'01m891jfn48pa4v0xknxs0bw06',1,'multiply','{"a": 6, "b": 7}','call_1');
CREATE TABLE [tool_instances] (
   [id] INTEGER PRIMARY KEY,
   [plugin] TEXT,
   [name] TEXT,
   [arguments] TEXT
);
CREATE TABLE [tool_responses] (
   [tool_id] INTEGER REFERENCES [tools]([id]),
   [response_id] TEXT REFERENCES [responses]([id]),
   PRIMARY KEY ([tool_id], [response_id])
);
INSERT INTO "tool_responses" VALUES(1,'01m891jfn48pa4v0xknxs0bw06');
INSERT INTO "tool_responses" VALUES(1,'01m891jfp1mprav3jbemz02jhc');
CREATE TABLE "tool_results" (
   [id] INTEGER PRIMARY KEY,
   [response_id] TEXT REFERENCES [responses]([id]),
   [tool_id] INTEGER REFERENCES [tools]([id]),
   [name] TEXT,
   [output] TEXT,
   [tool_call_id] TEXT,
   [instance_id] INTEGER REFERENCES [tool_instances]([id])
, [exception] TEXT);
INSERT INTO "tool_results" VALUES(1,'01m891jfp1mprav3jbemz02jhc',1,'multiply','42','call_1',NULL,NULL);
CREATE TABLE [tool_results_attachments] (
   [tool_result_id] INTEGER REFERENCES [tool_results]([id]),
   [attachment_id] TEXT REFERENCES [attachments]([id]),
   [order] INTEGER,
   PRIMARY KEY ([tool_result_id], [attachment_id])
);
CREATE TABLE [tools] (
   [id] INTEGER PRIMARY KEY,
   [hash] TEXT,
   [name] TEXT,
   [description] TEXT,
   [input_schema] TEXT
, [plugin] TEXT);
INSERT INTO "tools" VALUES(1,'8bce808d6acad425b87c711e6ea557552866d7464f0f11df0ba48d26b23c60b6','multiply','Multiply two numbers.','{"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"], "type": "object"}',NULL);
CREATE UNIQUE INDEX [idx_fragments_hash]
    ON [fragments] ([hash]);
CREATE UNIQUE INDEX [idx_tools_hash]
    ON [tools] ([hash]);
COMMIT;
