/** The advisory lock by which an operator's session asks the worker of a standby to take over; also in extension/sql/functions/failover_here.sql. */

/** 'pgkf' */
export const operatorLockClass = 0x70676b66;

export const operatorLock = { takeOver: 1, acceptLoss: 2 } as const;
