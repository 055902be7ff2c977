/** Planned work in a modelled registry row: what the SQL functions and the worker's writes do to its nodes. */
import type { Command } from '../../src/core/effects.js';
import { openRequest } from '../../src/core/plan.js';
import type { OpenRequest, Registry, Voter } from '../../src/core/types.js';

function changed(
  voter: Voter,
  change: Partial<Record<'maintenance' | 'priority' | 'pause' | 'request', unknown>>,
): Voter {
  const merged = { ...voter, ...change } as Record<string, unknown>;
  for (const [key, value] of Object.entries(change)) if (value === null) delete merged[key];
  return merged as unknown as Voter;
}

/** In the element of the present master only, as registry_json() has it. */
export function withOpenRequest(row: Registry, request: OpenRequest | null): Registry {
  const nodes = row.nodes.map((node) =>
    changed(node, { request: node.name === row.master ? request : null }),
  );
  return { ...row, nodes };
}

export function withRequest(row: Registry, command: Extract<Command, { kind: 'write-request' }>): Registry {
  const open = openRequest(row);
  if (open === null || open.id !== command.id) return row;
  const { state, target, epoch } = command;
  const isOpen = state === 'running' || state === 'handing-over';
  return withOpenRequest(row, isOpen ? { ...open, state, target, epoch } : null);
}

export function withPause(row: Registry, pause: 'on' | 'ending' | null): Registry {
  const nodes = row.nodes.map((node) => (node.kind === 'node' ? changed(node, { pause }) : node));
  return { ...row, nodes };
}

export function withMaintenance(row: Registry, name: string, on: boolean): Registry {
  const nodes = row.nodes.map((node) =>
    node.name === name ? changed(node, { maintenance: on ? true : null }) : node,
  );
  return { ...row, nodes };
}

export function withPriority(row: Registry, name: string, priority: number | null): Registry {
  return {
    ...row,
    nodes: row.nodes.map((node) => (node.name === name ? changed(node, { priority }) : node)),
  };
}
