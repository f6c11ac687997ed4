/** Where a device that waits for its router can be dialled. */
export interface DialAddress {
  readonly host: string;
  readonly port: number;
}

/** How a device is woken; what is absent is as usual. */
export interface DeviceWake {
  /** Six bytes in hex with colons. */
  readonly mac: string;
  readonly broadcast?: string;
  readonly timeoutMs?: number;
}

/** A paired device as the registry keeps it. The key is the identity; times are Unix milliseconds. */
export interface DeviceRecord {
  /** `dev-` and its fingerprint. */
  readonly id: string;
  /** 43 characters of base64url; absent once the device was removed. */
  readonly publicKey?: string;
  /** Its owner's name for it, unique among those that are not removed. */
  readonly name: string;
  readonly createdMs: number;
  readonly lastSeenMs?: number;
  readonly lastAddress?: string;
  readonly dial?: DialAddress;
  readonly wake?: DeviceWake;
  /** Its owner lets it finish what it has and gives it nothing new, at any router; absent: no. */
  readonly isDraining?: boolean;
}

/** Another router of the same owner, as devices are told of it. */
export interface FleetRouter {
  readonly name: string;
  /** Public key, 43 characters of base64url. */
  readonly key: string;
  readonly hosts: readonly string[];
  readonly port: number;
}

/** The routers that share the registry. */
export interface FleetPeers {
  /** Those that devices can dial, this one aside. */
  others(): readonly FleetRouter[];
  /** Calls after each change of the others. */
  onOthers(run: () => void): void;
  /** Calls after each change that any of them made to the registry. */
  onDevices(run: () => void): void;
}

/** Where paired devices outlive a restart. Every method rejects while the database cannot be reached. */
export interface DeviceRegistry {
  /** Removed ones too: a key that is paired again keeps its row and name. */
  list(): Promise<readonly DeviceRecord[]>;
  /** Adds it or replaces its row. */
  save(record: DeviceRecord): Promise<void>;
  /** Only when and where it was seen last: another router may have changed or removed the rest. */
  seen(record: Pick<DeviceRecord, 'id' | 'lastSeenMs' | 'lastAddress'>): Promise<void>;
}

export const pairingStates = ['open', 'used', 'expired', 'locked', 'cancelled', 'failed'] as const;
export type PairingState = (typeof pairingStates)[number];

/** One invitation to pair, without its secret. */
export interface Pairing {
  readonly id: string;
  /** Unix milliseconds. */
  readonly expiresMs: number;
  /** Wrong guesses while it was open. */
  readonly wrong: number;
  readonly state: PairingState;
  /** Id of the device that used it. */
  readonly device?: string;
  /** Why it failed. */
  readonly why?: string;
}

/** Where the other routers of a database read how pairings stand. Rejects while it cannot be reached. */
export interface PairingRegistry {
  save(pairing: Pairing): Promise<void>;
  find(id: string): Promise<Pairing | undefined>;
}

/** What is measured of the fleet of devices. */
export interface FleetFigures {
  readonly devices: readonly DeviceFigures[];
  /** Links that came to nothing, by reason. */
  readonly refused: ReadonlyMap<string, number>;
  /** Pairings that have ended, by how. */
  readonly pairings: ReadonlyMap<string, number>;
  /** Machines of the local tier that were woken, by how that ended. */
  readonly wakes: ReadonlyMap<string, number>;
}

/** What is measured of one paired device. */
export interface DeviceFigures {
  readonly name: string;
  readonly isUp: boolean;
  readonly queued: number;
  /** 0..1; absent: not known. */
  readonly battery?: number;
  /** 0 none to 6 shut-down; absent: not known. */
  readonly thermal?: number;
  /** Links that ended, by code. */
  readonly ends: ReadonlyMap<string, number>;
  /** Sessions whose device came back within the grace (`resumed`), and those whose did not (`expired`). */
  readonly resumes: ReadonlyMap<string, number>;
  /** Tokens per second of its default model; absent: not known. */
  readonly prefillRate?: number;
  readonly decodeRate?: number;
  /** How often it was left alone, by why. */
  readonly ejections: ReadonlyMap<string, number>;
  /** Smoothed; absent: not measured. */
  readonly rttMs?: number;
  /** Fields of its messages that were cut or left out, counted. */
  readonly clipped: ReadonlyMap<string, number>;
}
