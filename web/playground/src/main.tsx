/** The playground: a chat client that shows what happens when parts of the system fail. */

import './style.css';
import { createRoot } from 'react-dom/client';
import { App } from './view/app';

const root = document.getElementById('playground');
if (root) createRoot(root).render(<App />);
