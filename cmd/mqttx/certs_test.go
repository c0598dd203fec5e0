package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	t     *testing.T
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	files map[string][]byte
}

// makeCertificates makes NAME.pem and NAME-key.pem of a server on this machine, of the
// clients ana and expired, of one without a name, and, by another authority, of a
// stranger; and ca.pem and other-ca.pem.
func makeCertificates(t *testing.T) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	ca := newAuthority(t, "ca", files)
	year := 365 * 24 * time.Hour
	ca.issue("server", "server", x509.ExtKeyUsageServerAuth, year)
	ca.issue("ana", "ana", x509.ExtKeyUsageClientAuth, year)
	ca.issue("nameless", "", x509.ExtKeyUsageClientAuth, year)
	ca.issue("expired", "expired", x509.ExtKeyUsageClientAuth, -time.Hour)
	newAuthority(t, "other-ca", files).issue("stranger", "ana", x509.ExtKeyUsageClientAuth, year)
	return files
}

func newAuthority(t *testing.T, name string, files map[string][]byte) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, files: files, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.write(name, a.cert, key)
	return a
}

// issue makes a certificate that is good for so long from now on.
func (a *authority) issue(file, commonName string, usage x509.ExtKeyUsage, lasts time.Duration) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(file, &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(a.files) + 2)), Subject: pkix.Name{CommonName: commonName},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(lasts),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, key)
}

func (a *authority) write(file string, template *x509.Certificate, key *ecdsa.PrivateKey) {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.files[file+".pem"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.files[file+"-key.pem"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}
