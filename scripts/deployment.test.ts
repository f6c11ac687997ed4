import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const linesOf = (path: string) =>
  readFileSync(`${root}/${path}`, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

test('security 26 and 27: the image is built from a pinned base, without scripts or downloads, and runs as nobody', () => {
  const lines = linesOf('Containerfile');
  const instruction = (name: string) => lines.filter((line) => line.startsWith(`${name} `));
  const bases = instruction('FROM');
  assert.equal(bases.length, 2);
  for (const base of bases) assert.match(base, /^FROM node:\d+\.\d+\.\d+-[a-z]+-slim\b/);
  assert.deepEqual(instruction('ADD'), []);
  assert.doesNotMatch(instruction('RUN').join('\n'), /curl|wget|https?:/);
  assert.ok(instruction('RUN').some((line) => line.includes('npm ci') && line.includes('--ignore-scripts')));
  const user = lines.indexOf('USER 10001:10001');
  assert.ok(user > lines.lastIndexOf(bases[1] ?? ''), 'the last stage has a user that is not root');
  assert.equal(
    lines.slice(user + 1).some((line) => /^(USER|RUN|COPY) /.test(line)),
    false,
    'nothing is done after that',
  );
  assert.match(instruction('HEALTHCHECK').join(), /process\.env\.PORT \+ '\/health'/);
  assert.deepEqual(instruction('VOLUME'), ['VOLUME /data']);
  assert.deepEqual(
    instruction('ENTRYPOINT'),
    ['ENTRYPOINT ["node", "--max-semi-space-size=8", "/lfo/packages/router/bin/lfo.js"]'],
    'signals reach Node itself, and what is given as a command is one of lfo',
  );
  assert.deepEqual(instruction('CMD'), ['CMD ["serve"]']);
  assert.doesNotMatch(instruction('ENV').join(), /KEY|TOKEN|SECRET/);
});

test('security 26: what the image copies is there, and the Node in it is the one of the lockfile', () => {
  const lines = linesOf('Containerfile');
  const copied = lines.filter((line) => line.startsWith('COPY ') && !line.includes('--from='));
  for (const line of copied) {
    for (const path of line.split(' ').slice(1, -1)) assert.ok(existsSync(`${root}/${path}`), path);
  }
  const version = /FROM node:(\d+\.\d+\.\d+)-/.exec(lines.join('\n'))?.[1];
  assert.match(
    readFileSync(`${root}/package.json`, 'utf8'),
    new RegExp(`"node": "${version?.replaceAll('.', '\\.')}"`),
  );
});

test('security 27: the systemd unit takes root, capabilities and the rest of the file system away', () => {
  const lines = new Set(linesOf('docs/operations/lfo.service'));
  const wanted = [
    'DynamicUser=yes',
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
    'ProtectHome=yes',
    'PrivateTmp=yes',
    'CapabilityBoundingSet=',
    'RestrictSUIDSGID=yes',
    'StateDirectoryMode=0700',
    'UMask=0077',
    'SystemCallFilter=@system-service',
  ];
  for (const line of wanted) assert.ok(lines.has(line), line);
  assert.equal(
    [...lines].some((line) => line.startsWith('User=root')),
    false,
  );
});
