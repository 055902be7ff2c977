/** Configuration files of a modelled server and what its processes read from them. Each process keeps its own copy. */
import { parseConninfo } from '../../src/core/conninfo.js';
import { isSameName, parseStandbyNames } from '../../src/core/sync/standby-names.js';

/** postgresql.conf and postgresql.auto.conf as one immutable value; a change makes a new one. */
export interface Configuration {
  /** synchronous_standby_names of the user's own file. */
  readonly userNames: string;
  /** The same by ALTER SYSTEM; null = not set there. */
  readonly autoNames: string | null;
  readonly primaryConninfo: string;
  readonly shortRetry: boolean;
  readonly fenced: boolean;
  readonly priority: number;
}

export function namesOf(configuration: Configuration): string {
  return configuration.autoNames ?? configuration.userNames;
}

export interface SyncSetting {
  readonly quorum: boolean;
  readonly needed: number;
  readonly names: readonly string[];
}

const settings = new Map<string, SyncSetting>();

export function syncSetting(text: string): SyncSetting {
  let setting = settings.get(text);
  if (setting === undefined) {
    const parsed = parseStandbyNames(text);
    setting =
      parsed.kind === 'parsed'
        ? { quorum: parsed.value.method === 'quorum', needed: parsed.value.needed, names: parsed.value.names }
        : { quorum: false, needed: 0, names: [] };
    settings.set(text, setting);
  }
  return setting;
}

/** SyncRepGetStandbyPriority: the place in the list; every name of a quorum has 1. */
export function priorityOf(setting: SyncSetting, name: string): number {
  const place = setting.names.findIndex((candidate) => candidate === '*' || isSameName(candidate, name));
  if (place < 0) return 0;
  return setting.quorum ? 1 : place + 1;
}

const texts = new Map<string, string>();

/**
 * The same text is the same object: everything that is looked up by name or conninfo is found by its address. As the key of an
 * object it is one that V8 never compares letter by letter.
 */
export function canonical(text: string): string {
  const known = texts.get(text);
  if (known !== undefined) return known;
  if (texts.size > 20_000) texts.clear();
  const [key = text] = Object.keys({ [text]: null });
  texts.set(text, key);
  return key;
}

interface Target {
  readonly host: string;
  readonly applicationName: string;
}

const targets = new Map<string, Target>();

export function targetOf(conninfo: string): Target {
  let target = targets.get(conninfo);
  if (target === undefined) {
    const parsed = parseConninfo(conninfo);
    const keywords = parsed.kind === 'parsed' ? parsed.keywords : new Map<string, string>();
    target = {
      host: canonical(keywords.get('host') ?? ''),
      applicationName: canonical(
        keywords.get('application_name') ?? keywords.get('fallback_application_name') ?? '',
      ),
    };
    if (targets.size > 5000) targets.clear();
    targets.set(conninfo, target);
  }
  return target;
}
