/** The operator console: mounts the page and follows the system state. */

import './style.css';
import { effect } from '@preact/signals';
import { render } from 'preact';
import { follow, overview, reconnect, waiting } from './system_state';
import { Console } from './view/console';

effect(() => {
  const waitingCount = overview.value ? `(${waiting.value}) ` : '';
  document.title = `${waitingCount}Mamba console`;
});
addEventListener('online', reconnect);

const root = document.getElementById('console');
if (root) render(<Console />, root);
void follow();
