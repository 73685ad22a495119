/** The folder of `etcd` and `kube-apiserver`, as controller-runtime's envtest names it. */
export const binaries = process.env['KUBEBUILDER_ASSETS']
