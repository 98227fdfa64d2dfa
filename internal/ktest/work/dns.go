package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// resolve plays a name server and the program that asks it, on one thread, then tries to connect.
func resolve(name, address string, port int) error {
	message, err := answer(name, address)
	if err != nil {
		return err
	}
	server, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(server)
	at := loopback()
	at.Port = 53
	if err := unix.Bind(server, at); err != nil {
		return fmt.Errorf("taking the port of name servers: %w", err)
	}
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(client)
	if err := unix.Connect(client, at); err != nil {
		return err
	}
	buf := make([]byte, 512)
	if _, err := unix.Write(client, []byte("?")); err != nil {
		return err
	}
	_, from, err := unix.Recvfrom(server, buf, 0)
	if err != nil {
		return err
	}
	if err := unix.Sendto(server, message, 0, from); err != nil {
		return err
	}
	if _, _, err := unix.Recvfrom(client, buf, 0); err != nil {
		return err
	}
	return connect(address, port)
}

// answer is the message that gives a name's IPv4 address.
func answer(name, address string) ([]byte, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	const response, class, kind = 0x8180, 1, 1
	m := []byte{}
	for _, n := range []uint16{7, response, 1, 1, 0, 0} {
		m = binary.BigEndian.AppendUint16(m, n)
	}
	for part := range strings.SplitSeq(name, ".") {
		m = append(append(m, byte(len(part))), part...)
	}
	m = append(m, 0, 0, kind, 0, class)
	const pointer, seconds = 0xc00c, 60 // to the name in the question
	for _, n := range []uint16{pointer, kind, class, 0, seconds, 4} {
		m = binary.BigEndian.AppendUint16(m, n)
	}
	v4 := ip.As4()
	return append(m, v4[:]...), nil
}
