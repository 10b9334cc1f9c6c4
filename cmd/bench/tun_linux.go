package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openTun makes a network device whose packets are read from the file and written to it
// (Documentation/networking/tuntap.rst). It takes and gives packets that are larger than its
// MTU, with the header that says how they are to be cut (linux/virtio_net.h).
func openTun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("network device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
