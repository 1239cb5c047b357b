// Package e2e plays the portal's stories with the real program: the binary is
// built, the demo started, and Chromium, OpenSSL, NSS, GnuTLS, Java, axe and
// Lighthouse are the other side. It has no code.
package e2e
