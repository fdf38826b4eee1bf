//! The apps that install the packages, as their own makers' tools would write them, versions pinned.

const REACT = { react: '19.3.1', 'react-dom': '19.3.1' };
const TYPES = { '@types/react': '19.3.0', '@types/react-dom': '19.3.0' };

const json = value => `${JSON.stringify(value, null, 2)}\n`;

/** As `npm create vite` makes it, and the AI SDK and assistant-ui, whose examples are type-checked. */
export const VITE = {
  name: 'vite',
  packages: ['client', 'react', 'assistant-ui'],
  title: 'Vite',
  builds: [['tsc --noEmit'], ['vite build']],
  serve: port => ['vite', 'preview', '--host', '127.0.0.1', '--port', port, '--strictPort'],
  files: {
    'package.json': json({
      name: 'consumer-vite',
      private: true,
      type: 'module',
      dependencies: {
        ...REACT,
        ai: '6.0.326',
        '@ai-sdk/react': '3.0.328',
        '@assistant-ui/react': '0.15.22',
        zod: '4.6.7',
      },
      devDependencies: { ...TYPES, '@vitejs/plugin-react': '6.3.0', typescript: '7.0.2', vite: '8.3.8' },
    }),
    'index.html': '<!doctype html><div id="root"></div><script type="module" src="/src/main.tsx"></script>\n',
    'vite.config.ts': `import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({ plugins: [react()] });
`,
    'tsconfig.json': json({
      compilerOptions: {
        target: 'ES2023',
        lib: ['ES2023', 'DOM', 'DOM.Iterable'],
        module: 'ESNext',
        moduleResolution: 'bundler',
        types: ['vite/client'],
        jsx: 'react-jsx',
        strict: true,
        verbatimModuleSyntax: true,
        skipLibCheck: true,
      },
      include: ['src'],
    }),
  },
};

/** As `npx create-next-app --ts --app --empty` makes it. */
export const NEXT = {
  name: 'next',
  packages: ['client', 'react', 'server', 'ag-ui', 'tanstack-ai'],
  title: 'Next.js',
  builds: [['next build --webpack'], ['next build']],
  serve: port => ['next', 'start', '-H', '127.0.0.1', '-p', port],
  files: {
    'package.json': json({
      name: 'consumer-next',
      private: true,
      dependencies: { ...REACT, next: '16.4.6', '@tanstack/ai': '0.58.0' },
      devDependencies: { ...TYPES, '@types/node': '20.19.43', typescript: '7.0.2' },
    }),
    'app/layout.tsx': `import type { ReactNode } from 'react';

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
`,
    'tsconfig.json': json({
      compilerOptions: {
        target: 'ES2017',
        lib: ['dom', 'dom.iterable', 'esnext'],
        strict: true,
        noEmit: true,
        esModuleInterop: true,
        module: 'esnext',
        moduleResolution: 'bundler',
        resolveJsonModule: true,
        isolatedModules: true,
        skipLibCheck: true,
        jsx: 'react-jsx',
        incremental: true,
        plugins: [{ name: 'next' }],
      },
      include: ['next-env.d.ts', '**/*.ts', '**/*.tsx', '.next/types/**/*.ts'],
      exclude: ['node_modules'],
    }),
  },
};
