package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// enterNetwork gives the thread a network of its own, with nothing but the loopback: other addresses cannot be reached there.
func enterNetwork() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("starting the loopback: %w", err)
	}
	return nil
}

// socketAddress is the address for a socket of its family; an IPv4 address in IPv6 clothes belongs to IPv6.
func socketAddress(text string, port int) (domain int, address unix.Sockaddr, err error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return 0, nil, err
	}
	if a.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: a.As4()}, nil
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: a.As16()}, nil
}

// connect is one attempt, whatever becomes of it.
func connect(text string, port int) error {
	domain, address, err := socketAddress(text, port)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	unix.Connect(fd, address)
	return unix.Close(fd)
}

// bind is one attempt, whatever becomes of it.
func bind(text string, port int) error {
	domain, address, err := socketAddress(text, port)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	unix.Bind(fd, address)
	return unix.Close(fd)
}

// fillBacklog leaves connections waiting in a listener's queue.
func fillBacklog(n, size int) error {
	listener, address, err := listen("127.0.0.1", size)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	return repeat(n, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Connect(fd, address) // closed with the process
	})
}

// overflow has the kernel drop a connection's first segment, since the listener's queue is full, and send it again.
func overflow() error {
	listener, first, address, err := listenFull()
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	defer unix.Close(first)
	second, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(second)
	if err := unix.Connect(second, address); !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connecting to a full queue: %w", err)
	}
	for {
		info, err := unix.GetsockoptTCPInfo(second, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.Total_retrans > 0 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// listenFull listens with a queue of 0, which takes one connection, and makes that.
func listenFull() (listener, first int, address unix.Sockaddr, err error) {
	if listener, address, err = listen("127.0.0.1", 0); err != nil {
		return 0, 0, nil, err
	}
	if first, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, nil, errors.Join(err, unix.Close(listener))
	}
	if err = unix.Connect(first, address); err != nil {
		return 0, 0, nil, errors.Join(err, unix.Close(first), unix.Close(listener))
	}
	return listener, first, address, nil
}

func listen(text string, backlog int) (listener int, address unix.Sockaddr, err error) {
	domain, address, err := socketAddress(text, 0)
	if err != nil {
		return 0, nil, err
	}
	if listener, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, nil, err
	}
	if err = unix.Bind(listener, address); err == nil {
		if err = unix.Listen(listener, backlog); err == nil {
			if address, err = unix.Getsockname(listener); err == nil {
				return listener, address, nil
			}
		}
	}
	return 0, nil, errors.Join(err, unix.Close(listener))
}
