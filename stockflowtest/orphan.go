//go:build !linux

package stockflowtest

import "syscall"

// DieWithParent is what only Linux can do.
func DieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
