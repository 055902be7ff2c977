/** Every node that could follow the master has priority 0: said before the master is lost, and what there is to do then. Pure. */
import { priorityOf } from '../core/plan.js';
import { answered, type ClusterLook } from './cluster-look.js';

export interface NeverPromoted {
  readonly text: string;
  readonly mend: string;
}

/** By the nodes that answer, and by what set_priority says of the others. Null = some node may be promoted, or nothing is known. */
export function neverPromoted({ registry, nodes }: ClusterLook): NeverPromoted | null {
  const lookOf = (name: string) => answered(nodes.find(({ voter }) => voter.name === name))?.observation;
  const master = registry.master ?? '';
  // One that is back as a standby is a node like the others.
  const others = registry.nodes.filter(
    ({ name, kind }) => kind === 'node' && (name !== master || lookOf(name)?.inRecovery === true),
  );
  const priorities = others.flatMap(({ name, priority }) => {
    const look = lookOf(name);
    const known = look === undefined ? priority : priorityOf(registry, name, look.priority);
    return known === undefined ? [] : [known];
  });
  const first = others.find(({ name }) => lookOf(name) !== undefined) ?? others[0];
  if (first === undefined || priorities.length === 0 || priorities.some((priority) => priority > 0))
    return null;
  const isAlive = lookOf(master)?.inRecovery === false;
  return {
    text: 'nobody may be promoted: no node but the master has a priority above 0, and 0 is never master',
    mend: isAlive
      ? `pgkeeper priority ${first.name} 100 makes one that may`
      : `start ${master} again; if it is lost, pgkeeper failover ${first.name} makes that node master all the same`,
  };
}
