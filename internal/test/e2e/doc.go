// Package e2e plays the portal's stories with the real program: the binary is
// built, the demo started, and Chromium, OpenSSL, NSS, GnuTLS, Java, Apache, nginx,
// axe and Lighthouse are the other side. It has no code.
//
// Each story has a portal of its own. They run one after the other: beside each
// other, browsers get so slow on two cores that pages are read while they reload.
package e2e
