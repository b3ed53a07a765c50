-- Made by llm 0.12 itself: a conversation, logged offline; without its full-text index.
BEGIN TRANSACTION;
CREATE TABLE [_llm_migrations] (
   [name] TEXT PRIMARY KEY,
   [applied_at] TEXT
);
CREATE TABLE [conversations] (
   [id] TEXT PRIMARY KEY,
   [name] TEXT,
   [model] TEXT
);
INSERT INTO "conversations" VALUES('01m891jkg1a230aw9vpwfgebgs','Who are you?','parrot');
CREATE TABLE [responses] (
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
   [datetime_utc] TEXT
);
INSERT INTO "responses" VALUES('01m891jkg533kz0h372r8mzfxr','parrot','Who are you?','You are a parrot.',NULL,'{"temperature": 0.5}','Squawk: Who are you?','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Squawk: Who are you?"}}]}','01m891jkg1a230aw9vpwfgebgs',0,'2026-11-25T09:46:17.986131');
INSERT INTO "responses" VALUES('01m891jkg7r0m20yze8qceevf2','parrot','And where do you live?',NULL,'{"messages": [{"role": "system", "content": "You are a parrot."}, {"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "Squawk: Who are you?"}, {"role": "user", "content": "And where do you live?"}]}','{}','Squawk: And where do you live?','{"id": "chatcmpl-p1", "object": "chat.completion", "model": "parrot-2024-08-06", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Squawk: And where do you live?"}}]}','01m891jkg1a230aw9vpwfgebgs',0,'2026-11-25T09:46:17.990992');
COMMIT;
