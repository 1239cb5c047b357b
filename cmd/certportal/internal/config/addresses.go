package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// isHostName reports whether name is a DNS name of letters, digits, hyphens and
// dots (RFC 1123 section 2.1).
func isHostName(name string) bool {
	label := regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	for part := range strings.SplitSeq(name, ".") {
		if !label.MatchString(part) {
			return false
		}
	}
	return len(name) <= 253
}

// ValidHost reports whether host is a DNS name or an IP address.
func ValidHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || isHostName(host)
}

// Addresses are where the portal is reached, as pages and certificates name it.
type Addresses struct {
	HTTPS *url.URL
	HTTP  *url.URL
	Check *url.URL // the check page; nil where there is none
}

// PublicAddresses come from the settings, and where these are silent from the
// addresses that are really listened on; check is nil without a check page.
func (s *Settings) PublicAddresses(https, http, check net.Addr) (Addresses, error) {
	a := Addresses{
		HTTPS: &url.URL{Scheme: "https", Host: publicHost(https, "443")},
		HTTP:  &url.URL{Scheme: "http", Host: publicHost(http, "80")},
	}
	var err error
	if s.PublicURL != "" {
		if a.HTTPS, err = url.Parse(strings.TrimRight(s.PublicURL, "/")); err != nil {
			return a, err
		}
	}
	if s.PublicHTTPURL != "" {
		if a.HTTP, err = url.Parse(strings.TrimRight(s.PublicHTTPURL, "/")); err != nil {
			return a, err
		}
	}
	if check != nil && (s.PublicCheckURL != "" || len(s.TrustedProxies) == 0) { // behind a proxy only the setting can know
		a.Check, err = s.checkURLOf(a.HTTPS, check)
	}
	if err == nil && a.Check != nil && sameOrigin(a.Check.String(), a.HTTPS.String()) {
		err = mistake("listen_check", s.ListenCheck, "phones would reach it under the address of the portal, "+a.HTTPS.String()+": choose another port, or set public_check_url")
	}
	return a, err
}

// publicHost names a listening address so that a phone in the same network can
// open it: an address for a wildcard, no port where it is the usual one.
func publicHost(addr net.Addr, usual string) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return addr.String()
	}
	host := tcp.IP.String()
	if tcp.IP == nil || tcp.IP.IsUnspecified() {
		host = networkAddress()
	}
	_, port, _ := net.SplitHostPort(tcp.String())
	if port != usual {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// networkAddress is the first IPv4 address of this machine that others can
// reach, or localhost.
func networkAddress() string {
	for _, ip := range machineAddresses() {
		if ip.Is4() && ip.IsGlobalUnicast() {
			return ip.String()
		}
	}
	return "localhost"
}

// machineAddresses lists the addresses of this machine that are not loopback or
// link-local.
func machineAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	for _, a := range list {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	return addrs
}

// ServerNames are the names the portal's own TLS certificate carries, the public
// one first.
func (s *Settings) ServerNames(public Addresses) []string {
	names := append([]string{public.HTTPS.Hostname()}, s.TLS.Names...)
	if public.Check != nil {
		names = append(names, public.Check.Hostname())
	}
	if host, err := os.Hostname(); err == nil && isHostName(host) {
		names = append(names, host)
	}
	names = append(names, "localhost", "127.0.0.1", "::1")
	for _, ip := range machineAddresses() {
		names = append(names, ip.String())
	}
	var unique []string
	for _, name := range names {
		if name = strings.ToLower(name); !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	return unique
}

// ConfiguredAddresses are the public addresses without anything listening, for
// commands that only write them down.
func (s *Settings) ConfiguredAddresses() (Addresses, error) {
	https, err := net.ResolveTCPAddr("tcp", s.Listen)
	if err != nil {
		return Addresses{}, fmt.Errorf("listen: %w", err)
	}
	http, err := net.ResolveTCPAddr("tcp", s.ListenHTTP)
	if err != nil {
		return Addresses{}, fmt.Errorf("listen_http: %w", err)
	}
	if http.Port == 0 && s.PublicHTTPURL == "" {
		return Addresses{}, errors.New("listen_http: the port goes into certificates: name one, or set public_http_url")
	}
	return s.PublicAddresses(https, http, nil)
}
