/** One row of the table in `docs/reliability.md`. */
export interface FaultRow {
  readonly row: number;
  readonly fault: string;
  /** Why it is not among the fault tests; absent: it is. */
  readonly elsewhere?: string;
}

const devices = 'comes with the device fleet';

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
  {
    row: 38,
    fault: 'hedge: both answer',
    elsewhere: 'does not arise: one request has one attempt under way at a time, LFO does not hedge',
  },
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
  { row: 68, fault: 'everything at once' },
];
