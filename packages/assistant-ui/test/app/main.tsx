//! The test app in a browser: `npx vite packages/assistant-ui/test/app`, with a server that allows its origin.

import { createClient } from '@threadmill/client';
import { createRoot } from 'react-dom/client';
import wasm from '../../../client/wasm/threadmill.wasm?url';
import { App } from './app.js';

const url = new URLSearchParams(location.search).get('server') ?? 'http://127.0.0.1:7430';
const client = await createClient({ url, wasm });
createRoot(document.getElementById('root') as HTMLElement).render(<App client={client} />);
