package kafka

import (
	"fmt"
	"syscall"
	"testing"
)

// ports takes so many ports of the system's choice and returns their addresses. A socket stays bound to each until the
// test ends, and never listens: nobody else is given the port, also while the broker that it is for is down, and a
// broker may listen on it, as both of them allow the address to be used again.
func ports(t testing.TB, n int) (addresses []string) {
	t.Helper()
	for range n {
		socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		syscall.CloseOnExec(socket)
		t.Cleanup(func() { _ = syscall.Close(socket) })
		if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		bound, err := syscall.Getsockname(socket)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port))
	}
	return addresses
}
