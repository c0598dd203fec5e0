package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// serverTLS reads what serve needs for tls:// and wss://. With a client CA every
// client must show a certificate of it.
func serverTLS(certFile, keyFile, clientCAFile string) (*tls.Config, error) {
	cert, err := loadCertificate(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	if clientCAFile != "" {
		if conf.ClientCAs, err = loadAuthorities(clientCAFile); err != nil {
			return nil, err
		}
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return conf, nil
}

// clientTLS reads what pub and sub need; empty file names are left out.
func clientTLS(caFile, certFile, keyFile string, insecure bool) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}
	if caFile != "" {
		pool, err := loadAuthorities(caFile)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = pool
	}
	if certFile != "" {
		cert, err := loadCertificate(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}

// loadCertificate names the file that is no good.
func loadCertificate(certFile, keyFile string) (cert tls.Certificate, err error) {
	chain, err := os.ReadFile(certFile)
	if err != nil {
		return cert, fmt.Errorf("certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return cert, fmt.Errorf("private key: %w", err)
	}
	if cert, err = tls.X509KeyPair(chain, key); err != nil {
		return cert, fmt.Errorf("certificate %s with private key %s: %w", certFile, keyFile, err)
	}
	return cert, nil
}

func loadAuthorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("certificate authorities: no certificate in " + file)
	}
	return pool, nil
}
