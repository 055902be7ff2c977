/**
 * Where the nodes of the cluster are, remembered by the worker in a file of the data directory: for a worker that starts
 * beside data that hold no readable registry, since they were half rewound or half copied when its predecessor died. The
 * file is kept by rewinds and copies, and belongs to the owner of the data alone: it holds passwords, as the registry does.
 */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { openClient, queryWithDeadline } from '../postgres/connect.js';
import { forgetBoot, rememberBoot } from './boot-mark.js';
import { replaceFile } from './configuration-change.js';
import { textOf } from './text-of.js';

export interface KnownNode {
  readonly name: string;
  readonly conninfo: string;
}

const askBoundMs = 5000;

function pathOf(dataDirectory: string): string {
  return join(dataDirectory, 'pgkeeper.nodes');
}

/** And whether a boot may fence this server, null where that is not known. Written only where something changed. Never throws: it is for a bad day, and no reason for one. */
export function rememberNodes(
  dataDirectory: string,
  nodes: readonly KnownNode[],
  isKept: boolean | null,
): void {
  const known = nodes.map(({ name, conninfo }) => ({ name, conninfo }));
  const text = `${JSON.stringify(known)}\n`;
  try {
    if (isKept === true) rememberBoot(dataDirectory);
    if (isKept === false) forgetBoot(dataDirectory);
    if (nodes.length === 0 || textOf(pathOf(dataDirectory)) === text) return;
    replaceFile(pathOf(dataDirectory), text);
    chmodSync(pathOf(dataDirectory), 0o600);
  } catch {
    // A full disk, or data that are being replaced: said again with the next change.
  }
}

export function knownNodes(dataDirectory: string): readonly KnownNode[] {
  try {
    const found: unknown = JSON.parse(textOf(pathOf(dataDirectory)));
    return Array.isArray(found) ? (found as KnownNode[]) : [];
  } catch {
    return [];
  }
}

export interface FoundMaster extends KnownNode {
  readonly epoch: number;
}

interface Answer extends FoundMaster {
  readonly isMaster: boolean;
}

/**
 * The master as the nodes themselves say it. It must be the newest of a majority, the asking node counted among them: a
 * deposed one that nobody has told yet must not be copied. Throws why there is none.
 */
export async function findMaster(nodes: readonly KnownNode[], self: string): Promise<FoundMaster> {
  if (nodes.length === 0) throw new Error('no node of the cluster is known here');
  const others = nodes.filter(({ name }) => name !== self);
  const answers = (await Promise.all(others.map(ask))).filter((answer) => answer !== null);
  const needed = Math.floor(nodes.length / 2);
  if (answers.length < needed)
    throw new Error(
      `only ${answers.length} of the other ${others.length} nodes answer, ${needed} are needed`,
    );
  const newest = Math.max(...answers.map(({ epoch }) => epoch));
  const master = answers.find(({ isMaster, epoch }) => isMaster && epoch === newest);
  if (master === undefined)
    throw new Error(`none of ${answers.map(({ name }) => name).join(', ')} is the master of epoch ${newest}`);
  return master;
}

async function ask({ name, conninfo }: KnownNode): Promise<Answer | null> {
  try {
    const client = await openClient(conninfo, {
      applicationName: 'pgkeeper rejoin',
      connectTimeoutMs: askBoundMs,
    });
    try {
      const { rows } = await queryWithDeadline(
        client,
        'select not pg_is_in_recovery() and master = $1 as is_master, epoch::text from pgkeeper.cluster_state',
        [name],
        askBoundMs,
      );
      const row = rows[0] as { readonly is_master: boolean | null; readonly epoch: string } | undefined;
      if (row === undefined) return null;
      return { name, conninfo, isMaster: row.is_master === true, epoch: Number(row.epoch) };
    } finally {
      client.end().catch(() => undefined);
    }
  } catch {
    return null;
  }
}
