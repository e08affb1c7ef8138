/** The operator's console: mounts the page, and begins to follow the house. */

import './style.css';
import { effect } from '@preact/signals';
import { render } from 'preact';
import { follow, overview, reconnect, waiting } from './house';
import { startTheme } from './theme';
import { Console } from './view/console';

startTheme();
effect(() => {
  const waits = overview.value ? `(${waiting.value}) ` : '';
  document.title = `${waits}Mamba console`;
});
addEventListener('online', reconnect);

const place = document.getElementById('console');
if (place) render(<Console />, place);
void follow();
