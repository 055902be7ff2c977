/** A reload reaches each process of a server by itself, some of them late: the postmaster, the checkpointer, walsenders, startup. */
import { namesOf, syncSetting } from './configuration.js';
import type { Server } from './server.js';
import { releaseAll } from './sync-replication.js';

/** The postmaster first, then every process when it gets to it, with the files as they are then. */
export function reloadProcesses(server: Server): void {
  const { random } = server.world;
  server.after(random.tail(1, 30), () => {
    server.postmasterConfiguration = server.configuration;
    server.after(random.tail(2, 60), () => reloadCheckpointer(server));
    server.after(random.tail(2, 60), () => server.recovery.reload());
    for (const sender of [...server.senders])
      server.after(random.tail(3, sender.slowReload ? 4000 : 80), () => sender.reload());
  });
}

/** Only the checkpointer switches waiting on and off. */
function reloadCheckpointer(server: Server): void {
  if (server.world.now < server.checkpointerBusyUntil) {
    server.at(server.checkpointerBusyUntil, () => reloadCheckpointer(server));
    return;
  }
  const on = syncSetting(namesOf(server.configuration)).needed > 0;
  if (on === server.waitingOn) return;
  server.waitingOn = on;
  if (!on) releaseAll(server);
}
