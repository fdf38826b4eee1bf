//! A runtime for assistant-ui: its components over threads that this browser, other tabs and other devices share.

'use client';

export { type ThreadmillRuntimeOptions, useThreadmillRuntime } from './runtime.js';
