-- Made by llm 0.36 itself: a conversation, a schema, fragments, attachments, a tool, logged offline; without its full-text index.
BEGIN TRANSACTION;
CREATE TABLE "_llm_migrations" (
   "name" TEXT PRIMARY KEY,
   "applied_at" TEXT
);
CREATE TABLE "attachments" (
   "id" TEXT PRIMARY KEY,
   "type" TEXT,
   "path" TEXT,
   "url" TEXT,
   "content" BLOB
);
INSERT INTO "attachments" VALUES('6b7fa434f92a8b80aab02d9bf1a12e49ffcae424e4013a1c4f68b67e3d2bbcd0','image/png',NULL,NULL,X'89504E470D0A1A0A0000000D49484452000000010000000108060000001F15C4890000000D4944415478DA6364F8CF500F00038601805A347D6B0000000049454E44AE426082');
INSERT INTO "attachments" VALUES('6cca28217800f56c05773454248aaf21c600f283b0ea560291d91c2b2f46a4fc','image/png',NULL,'https://example.com/cat.png',NULL);
CREATE TABLE "conversations" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT,
   "model" TEXT
);
CREATE TABLE "fragment_aliases" (
   "alias" TEXT PRIMARY KEY,
   "fragment_id" INTEGER REFERENCES "fragments"("id")
);
CREATE TABLE "fragments" (
   "id" INTEGER PRIMARY KEY,
   "hash" TEXT,
   "content" TEXT,
   "datetime_utc" TEXT,
   "source" TEXT
);
INSERT INTO "fragments" VALUES(1,'330129d9f90664a5919d42815d5656fa23f5c72e75a062854c7ce04db39472b3','A long story. A long story. A long story. A long story. A long story. A long story. A long story. A long story. ','2026-11-25 09:46:11','https://example.com/story');
INSERT INTO "fragments" VALUES(2,'213c22ed7234eb11116e1e88f314c73cb3a019b5c87fe224b6ce5665bd9ec50e','Be brief.','2026-11-25 09:46:11','brief.txt');
CREATE TABLE "messages" (
   "hash" TEXT PRIMARY KEY,
   "parent_hash" TEXT REFERENCES "messages"("hash"),
   "role" TEXT,
   "provider_metadata" TEXT
);
INSERT INTO "messages" VALUES('b2:430866942600abd1c030953b1d31e910',NULL,'system',NULL);
INSERT INTO "messages" VALUES('b2:4839f9768227794f9e1800f6c5a9f4d8','b2:430866942600abd1c030953b1d31e910','user',NULL);
INSERT INTO "messages" VALUES('b2:22de89e0d10d37a55791c8d050a3fd77','b2:4839f9768227794f9e1800f6c5a9f4d8','assistant',NULL);
INSERT INTO "messages" VALUES('b2:cca3d833cfae81c6de7e1c94cdbf09d6','b2:22de89e0d10d37a55791c8d050a3fd77','user',NULL);
INSERT INTO "messages" VALUES('b2:85b502b2c0b96438b31a3ace87d30c93','b2:cca3d833cfae81c6de7e1c94cdbf09d6','assistant',NULL);
INSERT INTO "messages" VALUES('b2:f26f2222a2931fd796393a0f02e157e2',NULL,'user',NULL);
INSERT INTO "messages" VALUES('b2:dc3bfb6e65a48d3bfc562bdb7714faba','b2:f26f2222a2931fd796393a0f02e157e2','assistant',NULL);
INSERT INTO "messages" VALUES('b2:074dea0bd0259e0d5dca16426a45e4f5',NULL,'system',NULL);
INSERT INTO "messages" VALUES('b2:57a25722e1f4e20a34897df5003a19ce','b2:074dea0bd0259e0d5dca16426a45e4f5','user',NULL);
INSERT INTO "messages" VALUES('b2:bb092985cc8db4ba9172467e69f6e49b','b2:57a25722e1f4e20a34897df5003a19ce','assistant',NULL);
INSERT INTO "messages" VALUES('b2:9b00f8983faac6027036b67950728647',NULL,'user',NULL);
INSERT INTO "messages" VALUES('b2:d2da186f37d1137bef85b156b2ad8c2e','b2:9b00f8983faac6027036b67950728647','assistant',NULL);
INSERT INTO "messages" VALUES('b2:078a0198f5c9f8936e947f054a5f2f76','b2:d2da186f37d1137bef85b156b2ad8c2e','tool',NULL);
INSERT INTO "messages" VALUES('b2:40ce5290093eb053b596b87152ef1a2b','b2:078a0198f5c9f8936e947f054a5f2f76','assistant',NULL);
CREATE TABLE "part_attachments" (
   "part_id" INTEGER REFERENCES "parts"("id"),
   "attachment_id" TEXT REFERENCES "attachments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("part_id", "attachment_id", "order")
);
INSERT INTO "part_attachments" VALUES(11,'6b7fa434f92a8b80aab02d9bf1a12e49ffcae424e4013a1c4f68b67e3d2bbcd0',0);
INSERT INTO "part_attachments" VALUES(12,'6cca28217800f56c05773454248aaf21c600f283b0ea560291d91c2b2f46a4fc',0);
CREATE TABLE "part_fragments" (
   "part_id" INTEGER REFERENCES "parts"("id"),
   "fragment_id" INTEGER REFERENCES "fragments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("part_id", "fragment_id", "order")
);
INSERT INTO "part_fragments" VALUES(9,2,0);
INSERT INTO "part_fragments" VALUES(10,1,0);
CREATE TABLE "parts" (
   "id" INTEGER PRIMARY KEY,
   "message_hash" TEXT REFERENCES "messages"("hash"),
   "position" INTEGER,
   "type" TEXT,
   "tool_name" TEXT,
   "text" TEXT,
   "payload" TEXT
);
INSERT INTO "parts" VALUES(1,'b2:430866942600abd1c030953b1d31e910',0,'text',NULL,'You are a parrot.',NULL);
INSERT INTO "parts" VALUES(2,'b2:4839f9768227794f9e1800f6c5a9f4d8',0,'text',NULL,'Who are you?',NULL);
INSERT INTO "parts" VALUES(3,'b2:22de89e0d10d37a55791c8d050a3fd77',0,'text',NULL,'Squawk: Who are you?',NULL);
INSERT INTO "parts" VALUES(4,'b2:cca3d833cfae81c6de7e1c94cdbf09d6',0,'text',NULL,'And where do you live?',NULL);
INSERT INTO "parts" VALUES(5,'b2:85b502b2c0b96438b31a3ace87d30c93',0,'text',NULL,'Squawk: And where do you live?',NULL);
INSERT INTO "parts" VALUES(6,'b2:f26f2222a2931fd796393a0f02e157e2',0,'text',NULL,'Name a dog',NULL);
INSERT INTO "parts" VALUES(7,'b2:dc3bfb6e65a48d3bfc562bdb7714faba',0,'reasoning',NULL,'A dog, then.',NULL);
INSERT INTO "parts" VALUES(8,'b2:dc3bfb6e65a48d3bfc562bdb7714faba',1,'text',NULL,'Squawk: Name a dog',NULL);
INSERT INTO "parts" VALUES(9,'b2:074dea0bd0259e0d5dca16426a45e4f5',0,'text',NULL,NULL,'{"text_ref": [{"fragment": 2}]}');
INSERT INTO "parts" VALUES(10,'b2:57a25722e1f4e20a34897df5003a19ce',0,'text',NULL,NULL,'{"text_ref": [{"fragment": 1}, {"literal": "\nSum it up"}]}');
INSERT INTO "parts" VALUES(11,'b2:57a25722e1f4e20a34897df5003a19ce',1,'attachment',NULL,NULL,'{"attachment": {"id": "6b7fa434f92a8b80aab02d9bf1a12e49ffcae424e4013a1c4f68b67e3d2bbcd0"}}');
INSERT INTO "parts" VALUES(12,'b2:57a25722e1f4e20a34897df5003a19ce',2,'attachment',NULL,NULL,'{"attachment": {"id": "6cca28217800f56c05773454248aaf21c600f283b0ea560291d91c2b2f46a4fc"}}');
INSERT INTO "parts" VALUES(13,'b2:bb092985cc8db4ba9172467e69f6e49b',0,'text',NULL,'Squawk: A long story. A long story. A long story. A long story. A long story. A long story. A long story. A long story. 
Sum it up',NULL);
INSERT INTO "parts" VALUES(14,'b2:9b00f8983faac6027036b67950728647',0,'text',NULL,'multiply 6 and 7',NULL);
INSERT INTO "parts" VALUES(15,'b2:d2da186f37d1137bef85b156b2ad8c2e',0,'tool_call','multiply',NULL,'{"name": "multiply", "arguments": {"a": 6, "b": 7}, "tool_call_id": "call_1"}');
INSERT INTO "parts" VALUES(16,'b2:078a0198f5c9f8936e947f054a5f2f76',0,'tool_result','multiply',NULL,'{"name": "multiply", "output": "42", "tool_call_id": "call_1"}');
INSERT INTO "parts" VALUES(17,'b2:40ce5290093eb053b596b87152ef1a2b',0,'text',NULL,'It is 42.',NULL);
CREATE TABLE "prompt_attachments" (
   "response_id" TEXT REFERENCES "responses"("id"),
   "attachment_id" TEXT REFERENCES "attachments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("response_id", "attachment_id")
);
CREATE TABLE "prompt_fragments" (
   "response_id" TEXT REFERENCES "responses"("id"),
   "fragment_id" INTEGER REFERENCES "fragments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("response_id", "fragment_id", "order")
);
CREATE TABLE "responses" (
   "id" TEXT PRIMARY KEY,
   "model" TEXT,
   "prompt" TEXT,
   "system" TEXT,
   "prompt_json" TEXT,
   "options_json" TEXT,
   "response" TEXT,
   "response_json" TEXT,
   "conversation_id" TEXT REFERENCES "conversations"("id"),
   "duration_ms" INTEGER,
   "datetime_utc" TEXT,
   "input_tokens" INTEGER,
   "output_tokens" INTEGER,
   "token_details" TEXT,
   "schema_id" TEXT REFERENCES "schemas"("id")
, "resolved_model" TEXT, "reasoning" TEXT);
CREATE TABLE "schemas" (
   "id" TEXT PRIMARY KEY,
   "content" TEXT
);
INSERT INTO "schemas" VALUES('ef1ffdd087a6c2b550b20db1cad43f4c','{"type":"object","properties":{"name":{"type":"string"}}}');
CREATE TABLE "system_fragments" (
   "response_id" TEXT REFERENCES "responses"("id"),
   "fragment_id" INTEGER REFERENCES "fragments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("response_id", "fragment_id", "order")
);
CREATE TABLE "threads" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT,
   "tip_message_hash" TEXT REFERENCES "messages"("hash"),
   "forked_from" TEXT REFERENCES "threads"("id"),
   "datetime_utc" TEXT
);
INSERT INTO "threads" VALUES('01m891jd9dqncra2ne8sbhmr1x','Who are you?','b2:85b502b2c0b96438b31a3ace87d30c93',NULL,'2026-11-25 09:46:11.640148+00:00');
INSERT INTO "threads" VALUES('01m891jdb65mr327p6x03rcfyr','Name a dog','b2:dc3bfb6e65a48d3bfc562bdb7714faba',NULL,'2026-11-25 09:46:11.686824+00:00');
INSERT INTO "threads" VALUES('01m891jdbtgrhsjs4tdvxnjn23','A long story. A long story. A l…','b2:bb092985cc8db4ba9172467e69f6e49b',NULL,'2026-11-25 09:46:11.706871+00:00');
INSERT INTO "threads" VALUES('01m891jdc60v84ydejmmbc7njb','multiply 6 and 7','b2:40ce5290093eb053b596b87152ef1a2b',NULL,'2026-11-25 09:46:11.720566+00:00');
CREATE TABLE "tool_calls" (
   "id" INTEGER PRIMARY KEY,
   "response_id" TEXT REFERENCES "responses"("id"),
   "tool_id" INTEGER REFERENCES "tools"("id"),
   "name" TEXT,
   "arguments" TEXT,
   "tool_call_id" TEXT
);
CREATE TABLE "tool_instances" (
   "id" INTEGER PRIMARY KEY,
   "plugin" TEXT,
   "name" TEXT,
   "arguments" TEXT
);
CREATE TABLE "tool_instantiations" (
   "turn_id" TEXT REFERENCES "turns"("id"),
   "tool_call_id" TEXT,
   "instance_id" INTEGER REFERENCES "tool_instances"("id"),
   PRIMARY KEY ("turn_id", "tool_call_id")
);
CREATE TABLE "tool_responses" (
   "tool_id" INTEGER REFERENCES "tools"("id"),
   "response_id" TEXT REFERENCES "responses"("id"),
   PRIMARY KEY ("tool_id", "response_id")
);
CREATE TABLE "tool_results" (
   "id" INTEGER PRIMARY KEY,
   "response_id" TEXT REFERENCES "responses"("id"),
   "tool_id" INTEGER REFERENCES "tools"("id"),
   "name" TEXT,
   "output" TEXT,
   "tool_call_id" TEXT,
   "instance_id" INTEGER REFERENCES "tool_instances"("id")
, "exception" TEXT);
CREATE TABLE "tool_results_attachments" (
   "tool_result_id" INTEGER REFERENCES "tool_results"("id"),
   "attachment_id" TEXT REFERENCES "attachments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("tool_result_id", "attachment_id")
);
CREATE TABLE "tools" (
   "id" INTEGER PRIMARY KEY,
   "hash" TEXT,
   "name" TEXT,
   "description" TEXT,
   "input_schema" TEXT
, "plugin" TEXT);
INSERT INTO "tools" VALUES(1,'8bce808d6acad425b87c711e6ea557552866d7464f0f11df0ba48d26b23c60b6','multiply','Multiply two numbers.','{"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"], "type": "object"}',NULL);
CREATE TABLE "turn_fragments" (
   "turn_id" TEXT REFERENCES "turns"("id"),
   "fragment_id" INTEGER REFERENCES "fragments"("id"),
   "order" INTEGER,
   "kind" TEXT,
   PRIMARY KEY ("turn_id", "fragment_id", "kind", "order")
);
INSERT INTO "turn_fragments" VALUES('01m891jdbtgrhsjs4tdvxnjn22',1,0,'prompt');
INSERT INTO "turn_fragments" VALUES('01m891jdbtgrhsjs4tdvxnjn22',2,0,'system');
CREATE TABLE "turn_tools" (
   "turn_id" TEXT REFERENCES "turns"("id"),
   "tool_id" INTEGER REFERENCES "tools"("id"),
   "instance_id" INTEGER REFERENCES "tool_instances"("id"),
   PRIMARY KEY ("turn_id", "tool_id")
);
INSERT INTO "turn_tools" VALUES('01m891jdc7p2ecnbr58pc9wtrn',1,NULL);
INSERT INTO "turn_tools" VALUES('01m891jdcpt36597ehdtga1re6',1,NULL);
CREATE TABLE "turns" (
   "id" TEXT PRIMARY KEY,
   "thread_id" TEXT REFERENCES "threads"("id"),
   "parent_message_hash" TEXT REFERENCES "messages"("hash"),
   "tip_message_hash" TEXT REFERENCES "messages"("hash"),
   "model" TEXT,
   "resolved_model" TEXT,
   "options_json" TEXT,
   "schema_id" TEXT REFERENCES "schemas"("id"),
   "input_tokens" INTEGER,
   "output_tokens" INTEGER,
   "token_details" TEXT,
   "duration_ms" INTEGER,
   "datetime_utc" TEXT
, "response_json" TEXT);
INSERT INTO "turns" VALUES('01m891jd9dqncra2ne8sbhmr1y','01m891jd9dqncra2ne8sbhmr1x','b2:4839f9768227794f9e1800f6c5a9f4d8','b2:22de89e0d10d37a55791c8d050a3fd77','parrot','parrot-2024-08-06','{"temperature": 0.5}',NULL,11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}',0,'2026-11-25T09:46:11.629395+00:00','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Squawk: Who are you?"}}]}');
INSERT INTO "turns" VALUES('01m891jdaewzrbf9xyvc4yax6e','01m891jd9dqncra2ne8sbhmr1x','b2:cca3d833cfae81c6de7e1c94cdbf09d6','b2:85b502b2c0b96438b31a3ace87d30c93','parrot','parrot-2024-08-06',NULL,NULL,11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}',0,'2026-11-25T09:46:11.662494+00:00','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Squawk: And where do you live?"}}]}');
INSERT INTO "turns" VALUES('01m891jdb65mr327p6x03rcfyq','01m891jdb65mr327p6x03rcfyr','b2:f26f2222a2931fd796393a0f02e157e2','b2:dc3bfb6e65a48d3bfc562bdb7714faba','parrot',NULL,NULL,'ef1ffdd087a6c2b550b20db1cad43f4c',11,5,'{"completion_tokens_details": {"reasoning_tokens": 3}}',0,'2026-11-25T09:46:11.686395+00:00',NULL);
INSERT INTO "turns" VALUES('01m891jdbtgrhsjs4tdvxnjn22','01m891jdbtgrhsjs4tdvxnjn23','b2:57a25722e1f4e20a34897df5003a19ce','b2:bb092985cc8db4ba9172467e69f6e49b','parrot','parrot-2024-08-06',NULL,NULL,11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}',0,'2026-11-25T09:46:11.706429+00:00','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": {"$": "0.0.text"}}}]}');
INSERT INTO "turns" VALUES('01m891jdc7p2ecnbr58pc9wtrn','01m891jdc60v84ydejmmbc7njb','b2:9b00f8983faac6027036b67950728647','b2:d2da186f37d1137bef85b156b2ad8c2e','parrot','parrot-2024-08-06',NULL,NULL,9,4,NULL,0,'2026-11-25T09:46:11.720033+00:00',NULL);
INSERT INTO "turns" VALUES('01m891jdcpt36597ehdtga1re6','01m891jdc60v84ydejmmbc7njb','b2:078a0198f5c9f8936e947f054a5f2f76','b2:40ce5290093eb053b596b87152ef1a2b','parrot','parrot-2024-08-06',NULL,NULL,11,5,'{"prompt_tokens_details": {"cached_tokens": 8}}',0,'2026-11-25T09:46:11.734545+00:00','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Squawk: "}}]}');
CREATE UNIQUE INDEX "idx_fragments_hash"
    ON "fragments" ("hash");
CREATE UNIQUE INDEX "idx_tools_hash"
    ON "tools" ("hash");
CREATE INDEX "idx_messages_parent_hash"
    ON "messages" ("parent_hash");
CREATE UNIQUE INDEX "idx_parts_message_hash_position"
    ON "parts" ("message_hash", "position");
CREATE INDEX "idx_part_fragments_fragment_id"
    ON "part_fragments" ("fragment_id");
CREATE INDEX "idx_turns_thread_id"
    ON "turns" ("thread_id");
CREATE INDEX "idx_turn_fragments_fragment_id"
    ON "turn_fragments" ("fragment_id");
COMMIT;
