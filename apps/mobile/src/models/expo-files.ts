import { Directory, File, Paths } from 'expo-file-system';
import { createDownloadResumable } from 'expo-file-system/legacy';
import { lfoHost } from '../../modules/lfo-host';
import type { PhoneModel } from './catalogue';
import { HubError, type ModelFiles } from './model-shelf';

const folder = (): Directory => {
  const models = new Directory(Paths.document, 'models');
  if (!models.exists) models.create({ intermediates: true });
  return models;
};
const file = (name: string): File => new File(folder(), name);
const bytesOf = (one: File): number => (one.exists ? one.size : 0);
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
    bytesOf: (name) => bytesOf(file(name)),
    remove(name) {
      const [one, many] = [file(name), new Directory(folder(), name)];
      if (one.exists) one.delete();
      if (many.exists) many.delete();
    },
    rename(from, to) {
      if (file(from).exists) file(from).move(file(to));
      else new Directory(folder(), from).move(new Directory(folder(), to));
    },
    freeMegabytes: () => native.memory().diskFreeMb,
    sha256: (path) => native.sha256(path),
    unzip: (archive, target) => native.unzip(archive, target),
    download(from, name) {
      const target = file(name);
      const begun = bytesOf(target);
      let report = (_bytes: number, _total: number): void => {};
      // What Android takes a download up by is the length of what is there.
      const task = createDownloadResumable(
        from,
        target.uri,
        {},
        ({ totalBytesWritten, totalBytesExpectedToWrite }) => report(totalBytesWritten, totalBytesExpectedToWrite),
        begun > 0 ? String(begun) : undefined,
      );
      return {
        async run(onProgress) {
          report = onProgress;
          const result = await (begun > 0 ? task.resumeAsync() : task.downloadAsync());
          if (result === undefined || result === null) return false;
          // 200 to a request for the rest would be the whole once more, behind what is there.
          if (result.status !== (begun > 0 ? 206 : 200))
            throw new HubError(`The model hub answered with status ${result.status}. Try again later.`);
          return true;
        },
        async pause() {
          // Fails where it has ended meanwhile.
          await task.pauseAsync().catch(() => {});
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
  const answer = await fetch(`https://huggingface.co/api/models/${repository}/tree/${revision}/${folderPath}`).catch(
    () => undefined,
  );
  if (answer?.ok !== true) return undefined;
  const listed: unknown = await answer.json();
  if (!Array.isArray(listed)) return undefined;
  const entry: { readonly lfs?: { readonly oid?: unknown } } | undefined = listed.find((one) => one?.path === path);
  return typeof entry?.lfs?.oid === 'string' ? entry.lfs.oid : undefined;
}
