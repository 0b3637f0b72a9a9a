package files

import "syscall"

// nativeDSync is the flag that makes writes synchronous.
const nativeDSync = syscall.O_DSYNC
