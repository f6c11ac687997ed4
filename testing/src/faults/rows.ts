/** One row of the table in `docs/reliability.md`. */
export interface FaultRow {
  readonly row: number;
  readonly fault: string;
  /** Where its tests are, where those are not among the fault tests. */
  readonly elsewhere?: string;
}

const devices = '`packages/router/test/device-*.integration.test.ts`, `packages/protocol`';
const engines = 'packages/router/src/backends/engines';

/** What may go wrong, by number. Every row has tests here, or says where they are. */
export const faultRows: readonly FaultRow[] = [
  { row: 1, fault: 'connection refused' },
  { row: 2, fault: 'connection attempts black-holed' },
  { row: 3, fault: 'name resolution fails' },
  { row: 4, fault: 'accepts, never replies' },
  { row: 5, fault: 'headers sent, body never' },
  { row: 6, fault: 'reset before the first token' },
  { row: 7, fault: 'reset in mid-stream' },
  { row: 8, fault: 'stream ends without its end marker' },
  { row: 9, fault: 'connection half open' },
  { row: 10, fault: 'device vanishes mid-token and returns', elsewhere: devices },
  { row: 11, fault: 'one byte at a time' },
  { row: 12, fault: 'stream that never ends' },
  { row: 13, fault: 'line that never ends' },
  { row: 14, fault: 'rate limit with a time to wait' },
  { row: 15, fault: 'credentials refused by the backend' },
  { row: 16, fault: 'burst of 500 and 503' },
  { row: 17, fault: 'a page instead of an answer' },
  { row: 18, fault: 'error under the type of a stream, or in an array' },
  { row: 19, fault: 'malformed or unusual event stream' },
  { row: 20, fault: 'CRLF or a character split across reads' },
  { row: 21, fault: 'invalid UTF-8, lone surrogates' },
  { row: 22, fault: 'tool arguments cut off' },
  { row: 23, fault: 'duplicated or reordered device frame', elsewhere: devices },
  { row: 24, fault: 'empty, filtered or malformed answer' },
  { row: 25, fault: 'usage missing or absurd' },
  { row: 26, fault: 'slowloris headers or body' },
  { row: 27, fault: 'huge or very many headers' },
  { row: 28, fault: 'huge body, compressed bomb, wrong Content-Length' },
  { row: 29, fault: 'very deep, very many or poisonous keys' },
  { row: 30, fault: 'absurd amounts, evil regular expression' },
  { row: 31, fault: 'body of the wrong shape' },
  { row: 32, fault: 'client disconnects' },
  { row: 33, fault: 'slow reader' },
  { row: 34, fault: '1,000 streams, one slow' },
  { row: 35, fault: 'thundering herd on a half-open breaker' },
  { row: 36, fault: 'flapping backend' },
  { row: 37, fault: 'late failure of an old attempt' },
  { row: 38, fault: 'hedge: both answer' },
  { row: 39, fault: 'overload' },
  { row: 40, fault: "the client's deadline" },
  { row: 41, fault: 'wall clock jumps by two hours' },
  { row: 42, fault: 'event loop stalls for 500 ms' },
  { row: 43, fault: 'file descriptors exhausted' },
  { row: 44, fault: 'disk full, I/O errors on the database' },
  { row: 45, fault: 'database locked or down' },
  { row: 46, fault: 'kill −9 under write load' },
  { row: 47, fault: 'SIGTERM with 20 streams, second SIGTERM' },
  { row: 48, fault: 'broken configuration on reload, key revoked' },
  { row: 49, fault: 'hostile device frames', elsewhere: devices },
  { row: 50, fault: 'idle connection closed by the backend' },
  { row: 51, fault: 'pipelining, request smuggling, line breaks' },
  { row: 52, fault: 'very long prefill' },
  { row: 53, fault: 'two routers on one database' },
  { row: 54, fault: 'model file missing, truncated or of the wrong hash; model process dies' },
  {
    row: 55,
    fault: 'model process stopped, not ended',
    elsewhere: `\`${engines}/device/embedded-backend.integration.test.ts\`, \`packages/protocol/src/session/liveness.test.ts\``,
  },
  {
    row: 56,
    fault: 'schema that contains itself, explodes or is huge',
    elsewhere:
      '`packages/device-host/src/engine/llama/grammar/grammar.test.ts`, `packages/device-host/src/engine/llama/llama-engine.model.test.ts`',
  },
  { row: 57, fault: 'tool call or JSON longer than every limit, slow or paused in the middle' },
  { row: 58, fault: 'an answer that is not streamed is cut after its first token' },
  {
    row: 59,
    fault: 'error status at once, body never',
    elsewhere: `\`${engines}/openai-compatible/backend.integration.test.ts\`, \`${engines}/gemini/refusals.integration.test.ts\``,
  },
  {
    row: 60,
    fault: 'one tier full, the other idle',
    elsewhere: '`packages/router/src/routing/decide.test.ts`, `packages/router/src/pipeline/plan.test.ts`',
  },
  {
    row: 61,
    fault: 'model process cannot be started',
    elsewhere: `\`${engines}/device/child-process.test.ts\`, \`${engines}/device/embedded-backend.integration.test.ts\``,
  },
  {
    row: 62,
    fault: 'request refused for a feature that the backend lacks',
    elsewhere: `\`${engines}/openai-compatible/backend.integration.test.ts\``,
  },
  {
    row: 63,
    fault: 'usage absurd but finite',
    elsewhere: '`packages/router/test/absurd-usage.integration.test.ts`',
  },
  {
    row: 64,
    fault: 'viewer of the live feed stops reading, logs out or loses its key',
    elsewhere: '`packages/router/test/admin-routes.integration.test.ts`',
  },
  { row: 65, fault: 'two signals at once; SIGTERM while answers are written down' },
  {
    row: 66,
    fault: 'back to a release that knows fewer migrations',
    elsewhere: '`packages/router/src/records/store/migrate.integration.test.ts`',
  },
  { row: 67, fault: 'a later call of one answer is bad' },
  { row: 68, fault: 'everything at once' },
  { row: 69, fault: 'link of a device lost in mid-answer', elsewhere: devices },
  { row: 70, fault: 'two hosts with one key', elsewhere: devices },
];
