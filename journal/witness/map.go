//go:build unix

package witness

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// Variable is the name in the environment of the file that has the page.
const Variable = "TORTURE_WITNESS"

// Map returns the page that a file has. It stays for as long as the process does. The file is made if it isn't there.
func Map(file string) (*Page, error) {
	const size = int(unsafe.Sizeof(Page{}))
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	b, err := mapped(f, size)
	if err := errors.Join(err, f.Close()); err != nil { // what is mapped stays
		return nil, err
	}
	return (*Page)(unsafe.Pointer(&b[0])), nil
}

func mapped(f *os.File, size int) ([]byte, error) {
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	return syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}
