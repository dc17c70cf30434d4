// All browser tests in one browser: `FORETASTE_…` say where the reports, the binary and Chromium are. tests/browser.rs runs this.

import { after } from 'node:test';
import { close } from './browser.js';
import './page.test.js';
import './served.test.js';
import './hostile.test.js';
import './size.test.js';

after(close);
