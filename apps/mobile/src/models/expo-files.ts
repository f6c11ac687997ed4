import { Directory, File, Paths } from 'expo-file-system';
import { createDownloadResumable } from 'expo-file-system/legacy';
import { lfoHost } from '../../modules/lfo-host';
import type { PhoneModel } from './catalogue';
import type { ModelFiles } from './model-shelf';

const folder = (): Directory => {
  const models = new Directory(Paths.document, 'models');
  if (!models.exists) models.create({ intermediates: true });
  return models;
};
const file = (name: string): File => new File(folder(), name);
const plain = (uri: string): string => decodeURIComponent(uri.replace(/^file:\/\//, '').replace(/\/$/, ''));

/** The phone's own files, in the app's private folder. */
export function expoFiles(isMetered: () => boolean): ModelFiles {
  const native = lfoHost;
  if (native === null) throw new Error('The native module of the app is missing: build the app anew.');
  return {
    find(name) {
      const model = file(name);
      if (model.exists) return plain(model.uri);
      const unpacked = new Directory(folder(), name);
      return unpacked.exists ? plain(unpacked.uri) : undefined;
    },
    pathOf: (name) => plain(file(name).uri),
    remove(name) {
      const [one, many] = [file(name), new Directory(folder(), name)];
      if (one.exists) one.delete();
      if (many.exists) many.delete();
    },
    rename: (from, to) => file(from).move(file(to)),
    read: (name) => (file(name).exists ? file(name).textSync() : undefined),
    write: (name, text) => file(name).write(text),
    freeMegabytes: () => native.memory().diskFreeMb,
    sha256: (path) => native.sha256(path),
    unzip: (archive, target) => native.unzip(archive, target),
    download(from, name, resumeData) {
      let report = (_bytes: number, _total: number): void => {};
      const task = createDownloadResumable(
        from,
        file(name).uri,
        {},
        ({ totalBytesWritten, totalBytesExpectedToWrite }) => report(totalBytesWritten, totalBytesExpectedToWrite),
        resumeData,
      );
      return {
        async run(onProgress) {
          report = onProgress;
          const result = await (resumeData === undefined ? task.downloadAsync() : task.resumeAsync());
          if (result === undefined || result === null) return false;
          if (result.status !== 200 && result.status !== 206) throw new Error(`The hub answered ${result.status}.`);
          return true;
        },
        async pause() {
          return (await task.pauseAsync()).resumeData ?? '';
        },
      };
    },
    hubHash,
    isMetered,
  };
}

/** The hub lists each large file with the SHA-256 of its content. */
async function hubHash({ source: { repository, revision, file: path } }: PhoneModel): Promise<string | undefined> {
  const folderPath = path.split('/').slice(0, -1).join('/');
  const answer = await fetch(`https://huggingface.co/api/models/${repository}/tree/${revision}/${folderPath}`);
  if (!answer.ok) return undefined;
  const listed: unknown = await answer.json();
  if (!Array.isArray(listed)) return undefined;
  const entry: { readonly lfs?: { readonly oid?: unknown } } | undefined = listed.find((one) => one?.path === path);
  return typeof entry?.lfs?.oid === 'string' ? entry.lfs.oid : undefined;
}
