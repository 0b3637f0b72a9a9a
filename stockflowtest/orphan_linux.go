package stockflowtest

import "syscall"

// DieWithParent has the kernel kill a process when the one that started it is gone.
func DieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
