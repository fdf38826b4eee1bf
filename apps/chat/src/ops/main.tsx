//! Starts the operators' page.

import '../styles/base.css';
import './ops.css';
import './sections.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ReportProvider } from '../shell/reports';
import { applyTheme, storedTheme } from '../shell/theme-choice';
import { pauseWhileHidden } from './data/polls';
import { OpsPage } from './page';

const root = document.getElementById('root');
if (root) {
  applyTheme(storedTheme());
  pauseWhileHidden();
  createRoot(root).render(
    <StrictMode>
      <ReportProvider>
        <OpsPage />
      </ReportProvider>
    </StrictMode>,
  );
}
