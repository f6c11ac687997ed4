/** Runs inside a network namespace: `lying-edge-scene.ts <address> <port>`. Plays a site that does not keep its promise. */
import { lyingEdge } from './lying-edge.ts';
import { ScriptedUpstream } from './scripted-upstream.ts';

const [address = '', port = ''] = process.argv.slice(2);
await ScriptedUpstream.start(lyingEdge, Number(port), address);
process.stdout.write('ready\n');
