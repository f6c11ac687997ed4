/**
 * The yardstick: `node:http` and undici's `dispatch`, bodies as bytes, nothing read. `node dispatch-proxy.ts ORIGIN`
 * prints its own.
 */
import { createServer } from 'node:http';
import { Pool } from 'undici';

const pool = new Pool(process.argv[2] ?? '', { connections: 128 });
const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (bytes: Buffer) => parts.push(bytes));
  request.on('end', () => {
    const [first] = parts;
    pool.dispatch(
      {
        method: 'POST',
        path: request.url ?? '/',
        headers: { 'content-type': 'application/json' },
        body: parts.length === 1 && first !== undefined ? first : Buffer.concat(parts),
      },
      {
        onRequestStart() {},
        onResponseStart(_controller, status, headers) {
          const { 'content-type': type = '', 'content-length': length } = headers;
          response.writeHead(status, {
            'content-type': String(type),
            ...(length !== undefined && { 'content-length': String(length) }),
          });
        },
        onResponseData(controller, bytes) {
          if (response.write(bytes)) return;
          controller.pause();
          response.once('drain', () => controller.resume());
        },
        onResponseEnd: () => void response.end(),
        onResponseError: () => void response.destroy(),
      },
    );
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});
