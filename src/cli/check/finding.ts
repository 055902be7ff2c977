/** What `pgkeeper check` found: a fact, how bad it is, and what mends it. */

/** problem: would prevent or endanger a failover. warning: worth knowing, and no reason to fail. */
export type Level = 'ok' | 'warning' | 'problem';

export interface Finding {
  readonly level: Level;
  /** The node it is about; null = the cluster. */
  readonly node: string | null;
  readonly topic: string;
  readonly text: string;
  /** What to run or write. Null where nothing is to be done. */
  readonly mend: string | null;
}

export function about(
  level: Level,
  node: string | null,
  topic: string,
  text: string,
  mend: string | null = null,
): Finding {
  return { level, node, topic, text, mend };
}

/** Of one server. */
export function finding(
  level: Level,
  server: { readonly name: string },
  topic: string,
  text: string,
  mend: string | null = null,
): Finding {
  return about(level, server.name, topic, text, mend);
}
