//! AG-UI over Threadmill: an endpoint that its clients speak to. A thread there is a thread here, and the server holds it.

export { type AgUiOptions, createAgUiHandler } from './handler.js';
export { nodeListener } from './node.js';
