/** Where the kubelet listens unless it is told otherwise. */
export const usualKubeletPort = 10_250

/** Where API servers listen and Services lead to them, unless somebody has chosen otherwise. */
export const usualApiPorts: readonly number[] = [443, 6443]
