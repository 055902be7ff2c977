/** The keeper's replication slots: what they may cost each server, whether there is room for them, and which are lost. Pure: looks and facts in, findings out. */
import { isManagedSlot, slotNameOf } from '../../core/slots/slot-names.js';
import { answered, type ClusterLook, settingsOfNode } from '../cluster-look.js';
import { counted } from '../output.js';
import { type ServerFacts, settingOf } from './check-facts.js';
import { about, type Finding } from './finding.js';

export function slotFindings(cluster: ClusterLook, facts: readonly ServerFacts[]): readonly Finding[] {
  const nodes = cluster.nodes.filter(({ voter }) => voter.kind === 'node');
  return nodes.flatMap((node) => {
    const look = answered(node);
    const server = facts.find((one) => one.name === node.voter.name);
    if (look === null || server === undefined || nodes.length < 2) return [];
    // Settings that cannot be read have a finding of their own.
    if (settingsOfNode(look, server.name).settings?.manageSlots === false) return [];
    const others = nodes.map(({ voter }) => voter.name).filter((name) => name !== server.name);
    const found = [
      ...boundFindings(server),
      ...roomFindings(server, others),
      ...lostFindings(server, others),
    ];
    return found.length > 0 ? found : [about('ok', server.name, 'slots', 'replication slots are bounded')];
  });
}

function boundFindings(server: ServerFacts): readonly Finding[] {
  if (settingOf(server, 'max_slot_wal_keep_size') !== '-1') return [];
  return [
    about(
      'warning',
      server.name,
      'max_slot_wal_keep_size',
      'max_slot_wal_keep_size is -1: while a node is away this server keeps all WAL for it, until the disk is full',
      "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(); with as much as its disk can spare; or pg_keeper.manage_slots = off",
    ),
  ];
}

/** A fresh copy of a node takes one for its time. */
const spareSlots = 1;

function roomFindings(server: ServerFacts, others: readonly string[]): readonly Finding[] {
  const most = Number(settingOf(server, 'max_replication_slots'));
  const foreign = server.slots.filter(({ name }) => !isManagedSlot(name)).length;
  const wanted = others.length + foreign + spareSlots;
  if (most >= wanted) return [];
  const besides = foreign === 0 ? '' : ` besides the ${counted(foreign, 'slot')} of others there`;
  return [
    about(
      'warning',
      server.name,
      'max_replication_slots',
      `max_replication_slots is ${most}: too few for ${counted(others.length, 'other node')} and a fresh copy${besides}`,
      `ALTER SYSTEM SET max_replication_slots = ${Math.max(10, wanted)}; then restart the server`,
    ),
  ];
}

function lostFindings(server: ServerFacts, others: readonly string[]): readonly Finding[] {
  return others
    .filter((node) => server.slots.some(({ name, lost }) => lost && name === slotNameOf(node)))
    .map((node) =>
      about(
        'warning',
        server.name,
        'slots',
        `the slot of ${node} is lost here: ${node} was away for more WAL than max_slot_wal_keep_size (${settingOf(server, 'max_slot_wal_keep_size')})`,
        `the worker makes it anew; ${node} may need a fresh copy, which its worker makes. To bear longer absences raise max_slot_wal_keep_size`,
      ),
    );
}
