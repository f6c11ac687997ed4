import { render } from 'preact';
import { App } from './app.tsx';
import { followHistory } from './navigation.ts';
import './styles.css';
import { applyTheme } from './theme.ts';

const target = document.querySelector('#app');
if (target !== null) {
  applyTheme();
  followHistory();
  render(<App />, target);
}
