"""Every key in Redis, and the scripts that are the only ones to touch them.

All keys of a shard have the same hash tag, so that they are in one slot of a cluster; a call is in the shard that its
id says. ``P`` is ``{PREFIX:SHARD}``, for example ``{llm-proxy:0}``::

    P:calls          stream   calls that have ended, until they are stored. Fields: ``id``, and either ``envelope`` or
                              ``parts`` (``UPLOAD:COUNT``) for one that is too large for a single command.
                              Consumer group ``workers``; an entry is deleted when it is acknowledged, never trimmed.
    P:part:UPLOAD:N  string   a piece of such an envelope. It expires while it is uploaded, so that what a dead shipper
                              left behind goes away; the script that adds the entry takes the expiry off, or fails.
    P:started        list     envelopes of calls that still run, for those who look; the oldest are dropped beyond a
                              number, and they are delivered at most once.
    P:dead           stream   dead letters: the fields of the entry, and ``reason``, ``deliveries``. Never trimmed.
    P:counters       hash     ``shipped``, ``stored``, ``dead``, ``retried``, ``dropped``: calls, since ever
    P:keys           string   of the first shard only: what proxies have to know of keys (model/key_snapshot.py). No key
                              can be made of it. Written by workers, the last one wins; read by shippers.
    P:shipper:NAME   hash     of one journal: ``batch``, the name of its newest batch, and ``ids``, the calls that were
                              accepted and may be shipped again after a crash; ``shipped``, its number of calls.
                              Expires long after the last batch.

Invariants
- shipped + retried = length of calls + stored + dead. The numbers change in the same script as the streams.
- A batch is added once: its script says which batch must be the newest before it, so that a command that comes late
  or twice (a paused server, a lost reply) adds nothing.
- Nothing but an acknowledgement or a dead letter takes an entry away, and only the first one counts.
"""

from dataclasses import dataclass

#: The consumer group. One only: an entry is deleted for everybody when it is acknowledged.
GROUP = "workers"
COUNTERS = ("shipped", "stored", "dead", "retried", "dropped")
#: How many announcements of running calls are kept per shard; nobody is looking that far behind.
MAX_STARTED = 5000
#: An envelope beyond this is split: it bounds the memory that reading a few hundred entries takes.
INLINE_BYTES = 128 * 2**10
#: Size of one piece: far below the limits of servers (512 MiB) and of those who offer Redis as a service.
PART_BYTES = 4 * 2**20
#: More pieces than the largest envelope has.
MAX_PARTS = 1024
#: How long an upload may take before its pieces go away, in seconds. A failed one is begun again under another name.
UPLOAD_TTL_S = 3600
#: How long a journal's newest batch is remembered, in seconds; longer than a host is away before it is gone for good.
SHIPPER_TTL_S = 90 * 86400


@dataclass(frozen=True, slots=True)
class Shard:
    """The keys of one shard."""

    prefix: str
    number: int

    @property
    def calls(self) -> str:
        """Stream of ended calls."""
        return self._key("calls")

    @property
    def started(self) -> str:
        """List of running calls."""
        return self._key("started")

    @property
    def dead(self) -> str:
        """Stream of dead letters."""
        return self._key("dead")

    @property
    def counters(self) -> str:
        """Hash of numbers."""
        return self._key("counters")

    @property
    def keys(self) -> str:
        """Snapshot of the keys, as a string."""
        return self._key("keys")

    def shipper(self, name: str) -> str:
        """Hash of one journal."""
        return self._key(f"shipper:{name}")

    def part(self, upload: str, number: int) -> str:
        """One piece of a large envelope."""
        return self._key(f"part:{upload}:{number}")

    def parts(self, said: bytes) -> list[str]:
        """The pieces that the field ``parts`` of an entry names. Raises ValueError."""
        upload, _, count = said.decode().rpartition(":")
        if not 0 < int(count) <= MAX_PARTS:
            raise ValueError(f"{count} pieces are not possible")
        return [self.part(upload, number) for number in range(int(count))]

    def _key(self, name: str) -> str:
        return f"{{{self.prefix}:{self.number}}}:{name}"


def shards(prefix: str, count: int) -> list[Shard]:
    """All of them."""
    return [Shard(prefix, number) for number in range(count)]


def shard_number(exchange_id: str, count: int) -> int:
    """Where a call is: by the end of its id, which is random (RFC 9562 section 5.7)."""
    return int(exchange_id[-8:], 16) % count


#: KEYS calls, counters, shipper, then the parts. ARGV newest batch that must be, this batch, ids, TTL in s, then
#: id, field, value of each entry. Replies with the shipper's number of calls, or says why nothing was added.
PUBLISH = """
if (redis.call('HGET', KEYS[3], 'batch') or '') ~= ARGV[1] then return 'another batch' end
for i = 4, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then return 'parts are missing' end
end
redis.call('HLEN', KEYS[2])
for i = 5, #ARGV, 3 do
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
for i = 4, #KEYS do redis.call('PERSIST', KEYS[i]) end
local count = (#ARGV - 4) / 3
redis.call('HSET', KEYS[3], 'batch', ARGV[2], 'ids', ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[4])
redis.call('HINCRBY', KEYS[2], 'shipped', count)
return redis.call('HINCRBY', KEYS[3], 'shipped', count)
"""

#: KEYS part. ARGV bytes, TTL in s.
UPLOAD = "return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])"

#: KEYS keys. ARGV bytes.
WRITE_KEYS = "return redis.call('SET', KEYS[1], ARGV[1])"

#: KEYS keys. Replies with its bytes, or nothing.
READ_KEYS = "return redis.call('GET', KEYS[1])"

#: KEYS any. Deletes them.
DELETE = "return redis.call('UNLINK', unpack(KEYS))"

#: KEYS part. Replies with its bytes, or nothing.
READ_PART = "return redis.call('GET', KEYS[1])"

#: KEYS shipper. Replies with its newest batch, ids, number of calls.
READ_SHIPPER = "return redis.call('HMGET', KEYS[1], 'batch', 'ids', 'shipped')"

#: KEYS started. ARGV longest length, then envelopes.
ANNOUNCE = """
for i = 2, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[1]), -1)
return redis.status_reply('OK')
"""

#: KEYS calls, started. ARGV group, consumer, most calls, most announcements.
#: Replies with [[entry id, fields] ...] of new calls and the announcements. Makes the group if there is none.
TAKE = """
local function read()
  return redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
end
local calls = read()
if type(calls) == 'table' and calls.err then
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  calls = read()
  if type(calls) == 'table' and calls.err then return calls end
end
return {calls and calls[1][2] or {}, redis.call('LPOP', KEYS[2], ARGV[4]) or {}}
"""

#: KEYS calls. ARGV group, consumer, idle in ms, most calls, deliveries of a suspect, consumer to claim from or ''.
#: then ids that are not wanted. Replies with [entry id, deliveries so far, fields] of what was claimed.
#: What was delivered that often and never acknowledged may be what kills workers: it is claimed alone.
CLAIM = """
local stale
if ARGV[6] == '' then
  stale = redis.pcall('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])
else
  stale = redis.pcall('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4], ARGV[6])
end
if stale.err then return {} end
local unwanted, claimed = {}, {}
for i = 7, #ARGV do unwanted[ARGV[i]] = true end
for _, pending in ipairs(stale) do
  local id, deliveries = pending[1], pending[4]
  local suspect = deliveries >= tonumber(ARGV[5])
  if not unwanted[id] and not (suspect and #claimed > 0) then
    local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], id)[1]
    if entry then
      table.insert(claimed, {id, deliveries, entry[2]})
      if suspect then break end
    else
      redis.call('XACK', KEYS[1], ARGV[1], id)
    end
  end
end
return claimed
"""

#: KEYS calls. ARGV group, consumer, idle time to set in ms, then entry ids. Says that the consumer still has them (0),
#: or that anybody may have them at once. What another one has claimed by now is left to it.
HOLD = """
for i = 4, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if pending and pending[2] == ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'JUSTID')
  end
end
return redis.status_reply('OK')
"""

#: KEYS calls. ARGV group, idle in ms, consumer or ''. Forgets consumers that have nothing and said nothing for so long.
#: One that has something is never deleted: its entries would be delivered to nobody any more.
FORGET = """
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return 0 end
for _, consumer in ipairs(consumers) do
  local known = {}
  for i = 1, #consumer, 2 do known[consumer[i]] = consumer[i + 1] end
  if known.pending == 0 and (known.idle > tonumber(ARGV[2]) or known.name == ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], known.name)
  end
end
return redis.status_reply('OK')
"""

#: KEYS calls, counters, then parts. ARGV group, then entry ids. Replies with how many were still there.
ACK = """
local count = 0
for i = 2, #ARGV do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  count = count + redis.call('XDEL', KEYS[1], ARGV[i])
end
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('HINCRBY', KEYS[2], 'stored', count)
return count
"""

#: KEYS calls, counters, dead. ARGV group, entry id, reason, deliveries. Replies with 1, or 0 if it was not there.
BURY = """
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if not entry then return 0 end
local fields = entry[2]
for _, value in ipairs({'reason', ARGV[3], 'deliveries', ARGV[4]}) do table.insert(fields, value) end
redis.call('XADD', KEYS[3], '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HINCRBY', KEYS[2], 'dead', 1)
return 1
"""

#: KEYS dead, calls, counters. ARGV entry id. Puts the call back among those that wait. Replies with 1, or 0.
RETRY = """
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return 0 end
local fields = {}
for i = 1, #entry[2], 2 do
  if entry[2][i] ~= 'reason' and entry[2][i] ~= 'deliveries' then
    table.insert(fields, entry[2][i])
    table.insert(fields, entry[2][i + 1])
  end
end
redis.call('XADD', KEYS[2], '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[3], 'retried', 1)
return 1
"""

#: KEYS dead, counters, then parts. ARGV entry id. Deletes for good. Replies with 1, or 0.
DROP = """
local count = redis.call('XDEL', KEYS[1], ARGV[1])
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('HINCRBY', KEYS[2], 'dropped', count)
return count
"""

#: KEYS dead. ARGV first id, most entries. Replies with [[entry id, fields] ...].
READ_DEAD = "return redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])"

#: KEYS calls, dead, counters. ARGV group. Replies with length, taken, age of the oldest in ms, dead letters, counters.
DEPTH = """
local taken = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local age = 0
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if oldest then
  local now = redis.call('TIME')
  age = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(string.match(oldest[1], '^%d+'))
end
local length = redis.call('XLEN', KEYS[1])
return {length, taken.err and 0 or taken[1], age, redis.call('XLEN', KEYS[2]), redis.call('HGETALL', KEYS[3])}
"""
