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
}

/** Where paired devices outlive a restart. Every method rejects while the database cannot be reached. */
export interface DeviceRegistry {
  /** Removed ones too: a key that is paired again keeps its row and name. */
  list(): Promise<readonly DeviceRecord[]>;
  /** Adds it or replaces its row. */
  save(record: DeviceRecord): Promise<void>;
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
