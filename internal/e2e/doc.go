// Package e2e plays the portal's stories with the real program: the binary is
// built, the demo started, and Chromium, OpenSSL, NSS, GnuTLS, Java, Apache, nginx,
// axe and Lighthouse are the other side. It has no code.
//
// Each story has a portal of its own, and they run beside each other. What measures,
// kills or fills a disk runs before them and alone.
package e2e
