import { codeThread, forkedThreads, longestThread } from './api.mjs';
import { reachChecks } from './branches.mjs';
import { conclude } from './checks.mjs';
import { launch } from './page.mjs';
import { jumpChecks, scrollChecks } from './scroll.mjs';

const b = await launch();
if (process.env.A?.includes('s')) await scrollChecks(b, await codeThread(90), 60, 'code');
if (process.env.A?.includes('j')) await jumpChecks(b, (await longestThread()).id);
if (process.env.A?.includes('r')) await reachChecks(b, await forkedThreads(Number(process.env.N ?? 10)));
await b.close();
conclude();
