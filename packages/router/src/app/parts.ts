/** What a router is built of, read while the process of its embedded model starts. */
export { PrefixReuse } from '../pipeline/prefix-reuse.ts';
export { Chats } from '../pipeline/serve-chat.ts';
export { openAnswering } from './answering.ts';
export { ollamaPort, openDashboard, openHttp } from './http.ts';
export { keepWatch } from './keep-watch.ts';
export { openShadows } from './learning.ts';
export { openOperations } from './operations.ts';
export { openState } from './state.ts';
