package stand

import "syscall"

// dieWithParent has the kernel kill a process when the one that started it is gone.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
