/** The advisory lock by which an operator's session asks the worker of a standby to take over; also in extension/sql/functions/failover_here.sql. */

/** 'pgkf' */
export const operatorLockClass = 0x70676b66;

export const operatorLock = { takeOver: 1, acceptLoss: 2 } as const;

/** 'pgkp', object 1: an operator's session that ends a pause (functions/resume.sql). */
export const resumeLockClass = 0x70676b70;

/**
 * Anybody may take any advisory lock, so a lock counts as an operator's word only in a session of a role that may call the
 * function that takes it, or of the worker's own. `l` is the row of pg_locks.
 */
export const isOperatorsLock = (lockClass: number, functionName: string): string => `l.locktype = 'advisory'
    and l.granted and l.objsubid = 2 and l.classid = ${lockClass}
    and exists (select from pg_stat_activity o where o.pid = l.pid and (o.usename = current_user
      or has_function_privilege(o.usesysid, to_regprocedure('${functionName}')::oid, 'execute')))`;
