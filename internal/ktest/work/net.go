package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// loopback has the kernel choose the port.
func loopback() *unix.SockaddrInet4 { return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}} }

// tcp plays both sides on one thread: connecting succeeds before anyone accepts.
func tcp(bytes int, text string) error {
	listener, address, err := listen(text, 1)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	domain := unix.AF_INET
	if _, ok := address.(*unix.SockaddrInet6); ok {
		domain = unix.AF_INET6
	}
	client, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(client)
	if err := unix.Connect(client, address); err != nil {
		return err
	}
	server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(server)
	return carry(client, server, bytes)
}

// carry moves the bytes in pieces that fit any socket buffer.
func carry(from, to, bytes int) error {
	const piece = 4096
	buf := make([]byte, piece)
	for bytes > 0 {
		n := min(bytes, piece)
		if sent, err := unix.Write(from, buf[:n]); err != nil || sent != n {
			return fmt.Errorf("sent %d of %d bytes: %w", sent, n, err)
		}
		for got := 0; got < n; {
			m, err := unix.Read(to, buf)
			if err != nil {
				return err
			}
			got += m
		}
		bytes -= n
	}
	return nil
}

func udp(n, bytes int) error {
	receiver, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(receiver)
	if err := unix.Bind(receiver, loopback()); err != nil {
		return err
	}
	address, err := unix.Getsockname(receiver)
	if err != nil {
		return err
	}
	sender, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(sender)
	buf := make([]byte, bytes)
	return repeat(n, func() error {
		if err := unix.Sendto(sender, buf, 0, address); err != nil {
			return err
		}
		_, err := unix.Read(receiver, buf)
		return err
	})
}
