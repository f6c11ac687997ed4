import { render } from 'preact';
import { App } from './app.tsx';
import { followHistory } from './navigation.ts';
import 'uplot/dist/uPlot.min.css';
import './styles.css';

const target = document.querySelector('#app');
if (target !== null) {
  followHistory();
  render(<App />, target);
}
